"""Payloads in frames of bytes, so that a reader can tell what stands whole, what is torn and what is damaged.

A frame is a magic word, the payload's length, its CRC-32 and the payload. This module reads and writes no files.
"""

import struct
import zlib
from typing import NamedTuple

MAGIC = b"EVF1"
HEADER = struct.Struct("<4sII")  # magic word, length of the payload in bytes, CRC-32 of the payload


class Scan(NamedTuple):
    """What was found in a stretch of bytes.

    Attributes:
        payloads: Of the whole frames, in order.
        end: Where the last of them ends.
        damaged: Stretches, from and to, that hold no whole frame although one follows.
    """

    payloads: list[bytes]
    end: int
    damaged: list[tuple[int, int]]


def framed(payload: bytes) -> bytes:
    """The payload in a frame."""
    return HEADER.pack(MAGIC, len(payload), zlib.crc32(payload)) + payload


def scan(content: bytes, max_bytes: int | None = None) -> Scan:
    """The whole frames in a stretch of bytes that begins with one.

    Args:
        content: The bytes.
        max_bytes: Begin no further frame from this offset on; None reads all.
    """
    payloads: list[bytes] = []
    damaged: list[tuple[int, int]] = []
    offset = 0
    stop = len(content) if max_bytes is None else min(len(content), max_bytes)
    while offset < stop:
        payload = _frame_at(content, offset)
        if payload is None:
            resume = _next_frame(content, offset + 1)
            if resume is None:
                break
            damaged.append((offset, resume))
            offset = resume
        else:
            payloads.append(payload)
            offset += HEADER.size + len(payload)
    return Scan(payloads, offset, damaged)


def is_torn(tail: bytes) -> bool:
    """Whether these last bytes are the beginning of a frame, as a killed writer leaves it; nothing counts as that."""
    if len(tail) < HEADER.size:
        return tail[: len(MAGIC)] == MAGIC[: len(tail)]
    magic, length, _ = HEADER.unpack_from(tail)
    return bool(magic == MAGIC) and len(tail) < HEADER.size + length


def _frame_at(content: bytes, offset: int) -> bytes | None:
    """The payload of the whole frame that begins here, if one does."""
    if len(content) - offset < HEADER.size:
        return None
    magic, length, checksum = HEADER.unpack_from(content, offset)
    start = offset + HEADER.size
    payload = content[start : start + length]
    return payload if magic == MAGIC and len(payload) == length and zlib.crc32(payload) == checksum else None


def _next_frame(content: bytes, offset: int) -> int | None:
    """Where the next whole frame begins."""
    while (offset := content.find(MAGIC, offset)) >= 0:
        if _frame_at(content, offset) is not None:
            return offset
        offset += 1
    return None
