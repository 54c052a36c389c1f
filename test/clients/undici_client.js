// A client of the HTTP matrix on the npm package undici: runs the steps one after the
// other on one connection. A step is DIRECTION:FRAMING:SIZE:SHA256, for instance
// down:chunked:16385:….
// Usage: node undici_client.js URL STEP...; prints "ok STEPS" and exits 0.
'use strict';

const { Readable } = require('stream');
const { Client } = require('undici');
const { blocks, digest } = require('./http_body');

async function down(client, framing, size) {
  const { statusCode, headers, body } = await client.request({ method: 'GET', path: `/down?size=${size}&framing=${framing}` });
  const got = await digest(body);
  if (statusCode !== 200) throw new Error(`status ${statusCode}`);
  if (framing === 'length' && Number(headers['content-length']) !== size) throw new Error('wrong Content-Length');
  if (framing === 'chunked' && headers['transfer-encoding'] !== 'chunked') throw new Error('not chunked');
  return got;
}

async function up(client, framing, size) {
  const fields = framing === 'length' ? { 'content-length': String(size) } : {};
  const { statusCode, body } = await client.request({
    method: 'POST', path: '/up', headers: fields, body: Readable.from(blocks(size), { objectMode: false }),
  });
  const text = await body.text();
  if (statusCode !== 200) throw new Error(`status ${statusCode}`);
  return text;
}

async function main() {
  const [url, ...steps] = process.argv.slice(2);
  const client = new Client(url, { pipelining: 1 });
  let connections = 0;
  client.on('connect', () => { connections++; });
  for (const step of steps) {
    const [direction, framing, size, hash] = step.split(':');
    const got = await (direction === 'down' ? down : up)(client, framing, Number(size));
    if (got !== `${hash} ${size}`) throw new Error(`${step}: got ${got}`);
  }
  await client.close();
  if (connections !== 1) throw new Error(`${connections} connections for ${steps.length} requests`);
  console.log(`ok ${steps.length}`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
