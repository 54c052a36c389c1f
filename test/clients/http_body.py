"""The body of the HTTP matrix: blocks of 65,521 bytes in a fixed pattern, each with its
number in front, so that a lost, doubled or swapped block changes the hash."""

import hashlib

BLOCK = 65521
PATTERN = bytes((j * 167 + (j >> 8) * 13) & 255 for j in range(BLOCK))


def blocks(size):
    """Yields a body of size bytes."""
    number = 0
    while size > 0:
        block = number.to_bytes(8, "big") + PATTERN[8:]
        yield block[:size]
        size -= BLOCK
        number += 1


def digest(pieces):
    """Reads pieces to their end: "SHA256 BYTES"."""
    total, count = hashlib.sha256(), 0
    for piece in pieces:
        total.update(piece)
        count += len(piece)
    return f"{total.hexdigest()} {count}"
