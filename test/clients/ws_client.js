// A WebSocket client of the npm package ws: opens CONNECTIONS sockets to URL at once,
// passes messages of several sizes and a ping through each, and closes them cleanly.
// Usage: node ws_client.js URL CONNECTIONS; prints "ok CONNECTIONS" and exits 0.
'use strict';

const crypto = require('crypto');
const { once } = require('events');
const WebSocket = require('ws');

const sizes = [0, 1, 125, 126, 65535, 65536, 1 << 20];

async function message(socket) {
  const [data, isBinary] = await once(socket, 'message');
  return { data, isBinary };
}

async function session(url) {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  await once(socket, 'open');

  socket.send('text from ws');
  let got = await message(socket);
  if (got.isBinary || got.data.toString() !== 'text from ws') throw new Error('text came back changed');

  for (const size of sizes) {
    const sent = crypto.randomBytes(size);
    socket.send(sent);
    got = await message(socket);
    if (!got.isBinary || !sent.equals(got.data)) throw new Error(`${size} bytes came back changed`);
  }

  const pong = once(socket, 'pong');
  socket.ping('p');
  if ((await pong)[0].toString() !== 'p') throw new Error('pong came back changed');

  const closed = once(socket, 'close');
  socket.close(1000, 'done');
  const [code] = await closed;
  if (code !== 1000) throw new Error(`close code ${code}`);
}

async function main() {
  const url = process.argv[2];
  const connections = Number(process.argv[3]);
  await Promise.all(Array.from({ length: connections }, () => session(url)));
  console.log(`ok ${connections}`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
