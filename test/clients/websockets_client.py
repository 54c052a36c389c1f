"""A WebSocket client of the Python package websockets.

Opens CONNECTIONS sockets to URL at once, passes messages of several sizes and a ping
through each, and closes them cleanly.
Usage: websockets_client.py URL CONNECTIONS; prints "ok CONNECTIONS" and exits 0.
"""

import asyncio
import os
import sys

import websockets

SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20]


async def session(url):
    async with websockets.connect(url, compression=None, max_size=2 << 20) as socket:
        await socket.send("text from websockets")
        assert await socket.recv() == "text from websockets"
        for size in SIZES:
            sent = os.urandom(size)
            await socket.send(sent)
            assert await socket.recv() == sent, f"{size} bytes came back changed"
        await (await socket.ping())
        # A message in three fragments.
        await socket.send(["one ", "two ", "three"])
        assert await socket.recv() == "one two three"
        await socket.close(1000, "done")
        assert socket.close_code == 1000, socket.close_code


async def main(url, connections):
    await asyncio.gather(*(session(url) for _ in range(connections)))
    print(f"ok {connections}")


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
