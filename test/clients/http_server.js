// The upstream server of the HTTP matrix on Node's own http module. GET
// /down?size=N&framing=length|chunked answers with the body, a request to /up is answered
// with "SHA256 BYTES" of what it carried.
// Usage: node http_server.js [CERTIFICATE KEY]; prints "listening PORT" and runs until it is
// killed. With files of a certificate and its key it speaks TLS.
'use strict';

const fs = require('fs');
const http = require('http');
const https = require('https');
const { Readable } = require('stream');
const { blocks, digest } = require('./http_body');

async function serve(request, response) {
  const url = new URL(request.url, 'http://upstream');
  const received = await digest(request);
  if (url.pathname === '/down') {
    const size = Number(url.searchParams.get('size'));
    if (url.searchParams.get('framing') === 'length') response.setHeader('Content-Length', size);
    else response.setHeader('Transfer-Encoding', 'chunked');
    Readable.from(blocks(size), { objectMode: false }).pipe(response);
    return;
  }
  response.end(received);
}

const [cert, key] = process.argv.slice(2);
const handle = (request, response) => {
  serve(request, response).catch(() => response.destroy());
};
const server = cert
  ? https.createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) }, handle)
  : http.createServer(handle);
server.keepAliveTimeout = 60000;
server.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`));
