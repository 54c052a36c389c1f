// A client of an HTTP proxy on Node's own http and tls: a CONNECT, TLS inside, a page.
// Usage: connect_client.js PROXY_HOST:PORT TARGET_HOST:PORT CAFILE. Prints "ok " and the page.
'use strict';

const fs = require('node:fs');
const http = require('node:http');
const tls = require('node:tls');

const [proxy, target, ca] = process.argv.slice(2);
const [proxyHost, proxyPort] = proxy.split(':');
const name = target.split(':')[0];

const request = http.request({ host: proxyHost, port: proxyPort, method: 'CONNECT', path: target });
request.on('error', (err) => { throw err; });
request.on('connect', (response, socket, head) => {
  if (response.statusCode !== 200 || head.length !== 0) {
    throw new Error(`CONNECT: status ${response.statusCode}, ${head.length} bytes behind it`);
  }
  const secure = tls.connect({ socket, servername: name, ca: fs.readFileSync(ca) }, () => {
    const inside = http.get({ host: name, path: '/', createConnection: () => secure }, (page) => {
      let text = '';
      page.setEncoding('utf8');
      page.on('data', (chunk) => { text += chunk; });
      page.on('end', () => {
        console.log('ok ' + text.trim());
        secure.destroy();
      });
    });
    inside.on('error', (err) => { throw err; });
  });
});
request.end();
