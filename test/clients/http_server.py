"""The upstream server of the HTTP matrix on Python's own http.server.

GET /down?size=N&framing=length|chunked answers with the body, a request to /up is
answered with "SHA256 BYTES" of what it carried.
Usage: http_server.py [CERTIFICATE KEY]; prints "listening PORT" and runs until it is killed.
With files of a certificate and its key it speaks TLS.
"""

import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from http_body import blocks, digest


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else an answer's last segment waits for the acknowledgement of its head.
    disable_nagle_algorithm = True

    def body(self):
        """Yields the request's body, whatever its framing."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                while size > 0:
                    piece = self.rfile.read(min(size, 1 << 18))
                    size -= len(piece)
                    yield piece
                self.rfile.readline()
            while self.rfile.readline() not in (b"\r\n", b""):
                pass
            return
        left = int(self.headers.get("Content-Length", 0))
        while left > 0:
            piece = self.rfile.read(min(left, 1 << 18))
            if not piece:
                return
            left -= len(piece)
            yield piece

    def answer(self):
        received = digest(self.body())
        url = urlsplit(self.path)
        self.send_response(200)
        if url.path != "/down":
            self.send_header("Content-Length", str(len(received)))
            self.end_headers()
            self.wfile.write(received.encode())
            return
        query = parse_qs(url.query)
        size, chunked = int(query["size"][0]), query["framing"][0] == "chunked"
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(size))
        self.end_headers()
        for block in blocks(size):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(block), block) if chunked else block)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = do_PUT = answer

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
if len(sys.argv) > 1:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    # The handshake is made by the connection's own thread, with its first read.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(f"listening {server.server_address[1]}", flush=True)
server.serve_forever()
