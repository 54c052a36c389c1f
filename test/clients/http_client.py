"""A client of the HTTP matrix on http.client or on the package requests.

Runs the steps one after the other on one connection. A step is
DIRECTION:FRAMING:SIZE:SHA256, for instance down:chunked:16385:….
Usage: http_client.py http.client|requests HOST:PORT STEP...; prints "ok STEPS" and exits 0.
"""

import http.client
import sys

from http_body import blocks, digest

PIECE = 1 << 16


class Sized:
    """An upload whose length is known."""

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __iter__(self):
        return blocks(self.size)


class Plain:
    """http.client, on one connection."""

    def __init__(self, address):
        self.connection = http.client.HTTPConnection(address, timeout=60)

    def ask(self, method, target, **upload):
        self.connection.request(method, target, **upload)
        response = self.connection.getresponse()
        assert response.status == 200, response.status
        return response

    def down(self, target):
        response = self.ask("GET", target)
        return response.headers, digest(iter(lambda: response.read(PIECE), b""))

    def up(self, size, framing):
        fields = {"Content-Length": str(size)} if framing == "length" else {"Transfer-Encoding": "chunked"}
        response = self.ask("POST", "/up", body=blocks(size), headers=fields, encode_chunked=framing == "chunked")
        return response.read().decode()


class Requests:
    """requests, with a session."""

    def __init__(self, address):
        import requests  # only this client needs it

        self.base, self.session = "http://" + address, requests.Session()
        self.session.trust_env = False

    def down(self, target):
        with self.session.get(self.base + target, stream=True, timeout=60) as response:
            response.raise_for_status()
            return response.headers, digest(response.iter_content(PIECE))

    def up(self, size, framing):
        body = blocks(size)
        if framing == "length":
            body = Sized(size) if size else b""
        response = self.session.post(self.base + "/up", data=body, timeout=60)
        response.raise_for_status()
        return response.text


def main(kind, address, *steps):
    client = (Requests if kind == "requests" else Plain)(address)
    for step in steps:
        direction, framing, size, expected = step.split(":")
        if direction == "down":
            headers, got = client.down(f"/down?size={size}&framing={framing}")
            if framing == "length":
                assert headers["Content-Length"] == size, headers
            else:
                assert headers["Transfer-Encoding"] == "chunked", headers
        else:
            got = client.up(int(size), framing)
        assert got == f"{expected} {size}", f"{step}: got {got}"
    print(f"ok {len(steps)}")


main(*sys.argv[1:])
