// A TLS client on Node's own tls and https: a full handshake and a resumed one, HTTP both
// ways on the resumed connection, and WebSocket messages over wss with the package ws.
// Usage: node tls_client.js HOST:PORT CAFILE NAME 1.2|1.3 STEP...; a step as in
// undici_client.js. Prints "ok STEPS" and exits 0.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const tls = require('tls');
const { once } = require('events');
const { Readable } = require('stream');
const { pipeline } = require('stream/promises');
const WebSocket = require('ws');
const { blocks, digest } = require('./http_body');

const sizes = [64, 125, 126, 16384, 65535, 65536, 1 << 20];

async function text(stream) {
  let all = '';
  for await (const piece of stream) all += piece;
  return all;
}

// agentOf makes all its requests on one connection.
function agentOf(socket) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  agent.createConnection = () => socket;
  return agent;
}

// ask makes one request.
async function ask(agent, options, body) {
  const request = http.request({ ...options, agent });
  const answered = once(request, 'response');
  if (body) await pipeline(body, request);
  else request.end();
  const [response] = await answered;
  if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
  return response;
}

function check(said, version, reused, name) {
  const [protocol, , mark, server] = said.trim().split(' ');
  if (protocol !== `TLSv${version}` || mark !== reused || server !== name) throw new Error(`the server says ${said}`);
}

async function transfer(agent, direction, framing, size) {
  if (direction === 'down') return digest(await ask(agent, { path: `/down?size=${size}&framing=${framing}` }));
  const headers = framing === 'length' ? { 'content-length': String(size) } : { 'transfer-encoding': 'chunked' };
  return text(await ask(agent, { path: '/up', method: 'POST', headers }, Readable.from(blocks(size), { objectMode: false })));
}

async function messages(address, options) {
  const socket = new WebSocket(`wss://${address}/`, { ...options, perMessageDeflate: false });
  await once(socket, 'open');
  for (const size of sizes) {
    const sent = crypto.randomBytes(size);
    socket.send(sent);
    const [got, binary] = await once(socket, 'message');
    if (!binary || !sent.equals(got)) throw new Error(`${size} bytes came back changed`);
  }
  const closed = once(socket, 'close');
  socket.close(1000, 'done');
  const [code] = await closed;
  if (code !== 1000) throw new Error(`close code ${code}`);
}

async function main() {
  const [address, ca, name, version, ...steps] = process.argv.slice(2);
  const [host, port] = address.split(':');
  const options = { ca: fs.readFileSync(ca), servername: name, minVersion: `TLSv${version}`, maxVersion: `TLSv${version}` };
  const connect = async (session) => {
    const socket = tls.connect({ ...options, host, port: Number(port), session });
    socket.on('session', (s) => { socket.ticket = s; });
    await once(socket, 'secureConnect');
    return socket;
  };
  const first = await connect();
  check(await text(await ask(agentOf(first), { path: '/tls' })), version, '.', name);
  first.end();
  const second = await connect(first.ticket);
  if (!second.isSessionReused()) throw new Error('the session was not resumed');
  const agent = agentOf(second);
  check(await text(await ask(agent, { path: '/tls' })), version, 'r', name);
  for (const step of steps) {
    const [direction, framing, size, hash] = step.split(':');
    const got = await transfer(agent, direction, framing, Number(size));
    if (got !== `${hash} ${size}`) throw new Error(`${step}: got ${got}`);
  }
  agent.destroy();
  await messages(address, options);
  console.log(`ok ${steps.length}`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
