"""Arrays of numbers in a frame as the bytes they are: no Python object is made for a value on its way to the ledger.

Needs no numpy: an array is recognised by its `dtype`, and read back as a list.
"""

import struct
from typing import Any, Literal

import msgspec

# MessagePack leaves the codes from 0 to 127 to applications; this one means: a header, then the numbers.
CODE = 1
# The kind of number as numpy spells it, and the length of a row: 0 for an array of shape (rows,).
_HEADER = struct.Struct("<4sI")
# numpy's name of a little-endian type to the letter by which Python's `memoryview` knows it.
_LETTERS: dict[str, Literal["d", "f", "q"]] = {"<f8": "d", "<f4": "f", "<i8": "q"}


def pack(value: Any) -> Any:
    """An array as what MessagePack can hold, for an encoder's `enc_hook`.

    Args:
        value: An array of float64, float32 or int64 of shape (rows,) or (rows, columns), or of Python objects.

    Raises:
        TypeError: If it is something else.
    """
    kind = getattr(getattr(value, "dtype", None), "str", "")
    if kind == "|O":
        return value.tolist()
    if kind not in _LETTERS or value.ndim not in (1, 2):
        raise TypeError(f"{type(value).__name__} {kind}".rstrip())
    columns = value.shape[1] if value.ndim == 2 else 0
    return msgspec.msgpack.Ext(CODE, _HEADER.pack(kind.encode(), columns) + value.tobytes())


def unpack(code: int, data: memoryview) -> Any:
    """What was packed, as a list, with None where a number is NaN; for a decoder's `ext_hook`.

    Raises:
        ValueError: If the bytes are not what `pack` makes.
    """
    kind, columns = _HEADER.unpack_from(data)
    letter = _LETTERS.get(kind.rstrip(b"\0").decode("latin-1"))
    if code != CODE or letter is None:
        raise ValueError(f"wanted packed numbers, found the extension {code} of {kind!r}")
    numbers = data[_HEADER.size :].cast(letter).tolist()
    values = numbers if letter == "q" else [None if number != number else number for number in numbers]  # noqa: PLR0124
    return [values[at : at + columns] for at in range(0, len(values), columns)] if columns else values
