// Drives a page of a headless Chromium that opens wss sockets and echoes, on each of the
// given origins. Its authority must be in the NSS database of HOME.
// Usage: node wss_page.js CHROMIUM PROFILE_DIR tls1.2|tls1.3 HOST:PORT...; prints "ok" and exits 0.
'use strict';

const { chromium } = require('playwright-core');

const timeout = 60000;

// inPage runs in the page: fetches until a session is resumed, echoes, moves a body.
async function inPage() {
  const said = [];
  for (let i = 0; i < 8 && !(said.length > 1 && / r /.test(said[said.length - 1])); i++) {
    said.push(await (await fetch('/tls-close', { cache: 'no-store' })).text());
  }
  const body = await (await fetch('/down?size=1000000&framing=chunked')).arrayBuffer();
  const socket = new WebSocket(`wss://${location.host}/`);
  socket.binaryType = 'arraybuffer';
  const next = (name) => new Promise((resolve, reject) => {
    socket.addEventListener(name, resolve, { once: true });
    socket.addEventListener('error', () => reject(new Error('the socket failed')), { once: true });
  });
  await next('open');
  for (const size of [64, 126, 16384, 65536, 1 << 20]) {
    const sent = new Uint8Array(size).map((_, i) => (i * 7 + (i >> 8)) & 255);
    const answer = next('message');
    socket.send(sent);
    const got = new Uint8Array((await answer).data);
    if (got.length !== size || got.some((b, i) => b !== sent[i])) throw new Error(`${size} bytes came back changed`);
  }
  const closed = next('close');
  socket.close(1000, 'done');
  const { code, wasClean } = await closed;
  return { said, bytes: body.byteLength, code, wasClean };
}

async function main() {
  const [executablePath, profile, version, ...origins] = process.argv.slice(2);
  const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP test.example 127.0.0.1'];
  if (version === 'tls1.2') args.push('--ssl-version-max=tls1.2');
  const context = await chromium.launchPersistentContext(profile, { executablePath, headless: true, timeout, args });
  try {
    const page = context.pages()[0] || await context.newPage();
    for (const origin of origins) {
      await page.goto(`https://${origin}/tls`, { waitUntil: 'load', timeout });
      const { said, bytes, code, wasClean } = await page.evaluate(inPage);
      const last = said[said.length - 1];
      if (!last.startsWith(`TLSv${version.slice(3)} `) || !/ r /.test(last)) throw new Error(`the server says ${JSON.stringify(said)}`);
      if (bytes !== 1000000 || code !== 1000 || !wasClean) throw new Error(`${bytes} bytes, close ${code}, clean ${wasClean}`);
    }
  } finally {
    await context.close();
  }
  console.log('ok');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
