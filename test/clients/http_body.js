// The body of the HTTP matrix: blocks of 65,521 bytes in a fixed pattern, each with its
// number in front, so that a lost, doubled or swapped block changes the hash.
'use strict';

const { createHash } = require('crypto');

const blockBytes = 65521;
const pattern = Buffer.alloc(blockBytes);
for (let j = 0; j < blockBytes; j++) pattern[j] = (j * 167 + (j >> 8) * 13) & 255;

// blocks yields a body of size bytes.
function* blocks(size) {
  for (let number = 0, left = size; left > 0; number++) {
    const block = Buffer.from(pattern);
    block.writeBigUInt64BE(BigInt(number));
    yield left < blockBytes ? block.subarray(0, left) : block;
    left -= blockBytes;
  }
}

// digest reads a stream of buffers to its end: "SHA256 BYTES".
async function digest(stream) {
  const sum = createHash('sha256');
  let bytes = 0;
  for await (const piece of stream) {
    sum.update(piece);
    bytes += piece.length;
  }
  return `${sum.digest('hex')} ${bytes}`;
}

module.exports = { blocks, digest };
