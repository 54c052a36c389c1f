"""A TLS client on Python's own ssl: a full handshake and a resumed one, HTTP both ways on
the resumed connection, and WebSocket messages over wss with the package websockets.

Usage: tls_client.py HOST:PORT CAFILE NAME 1.2|1.3 STEP...; a step as in http_client.py.
Prints "ok STEPS" and exits 0.
"""

import asyncio
import http.client
import os
import ssl
import sys

import websockets
from http_body import blocks, digest

SIZES = [64, 125, 126, 16384, 65535, 65536, 1 << 20]


def context_for(ca, version):
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = context.maximum_version = {
        "1.2": ssl.TLSVersion.TLSv1_2,
        "1.3": ssl.TLSVersion.TLSv1_3,
    }[version]
    return context


class Connection(http.client.HTTPConnection):
    """HTTPS to an address under a name, with a session to resume."""

    def __init__(self, address, context, name, session=None):
        super().__init__(address, timeout=60)
        self.context, self.name, self.session = context, name, session

    def connect(self):
        super().connect()
        self.sock = self.context.wrap_socket(self.sock, server_hostname=self.name, session=self.session)

    def text(self, target):
        self.request("GET", target)
        response = self.getresponse()
        assert response.status == 200, response.status
        return response.read().decode()

    def transfer(self, direction, framing, size):
        if direction == "down":
            self.request("GET", f"/down?size={size}&framing={framing}")
            response = self.getresponse()
            return digest(iter(lambda: response.read(1 << 16), b""))
        fields = {"Content-Length": str(size)} if framing == "length" else {"Transfer-Encoding": "chunked"}
        self.request("POST", "/up", body=blocks(size), headers=fields, encode_chunked=framing == "chunked")
        return self.getresponse().read().decode()


def check(text, version, reused, name):
    protocol, _, mark, server = text.split()
    assert (protocol, mark, server) == ("TLSv" + version, reused, name), text


async def messages(address, context, name):
    url = f"wss://{address}/"
    async with websockets.connect(url, ssl=context, server_hostname=name, compression=None, max_size=2 << 20) as socket:
        for size in SIZES:
            sent = os.urandom(size)
            await socket.send(sent)
            assert await socket.recv() == sent, f"{size} bytes came back changed"
        await (await socket.ping())
        await socket.close(1000, "done")
        assert socket.close_code == 1000, socket.close_code


def main(address, ca, name, version, *steps):
    context = context_for(ca, version)
    first = Connection(address, context, name)
    check(first.text("/tls"), version, ".", name)
    session = first.sock.session
    first.close()
    second = Connection(address, context, name, session)
    check(second.text("/tls"), version, "r", name)
    assert second.sock.session_reused
    for step in steps:
        direction, framing, size, expected = step.split(":")
        got = second.transfer(direction, framing, int(size))
        assert got == f"{expected} {size}", f"{step}: got {got}"
    second.close()
    asyncio.run(messages(address, context, name))
    print(f"ok {len(steps)}")


main(*sys.argv[1:])
