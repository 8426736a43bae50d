"""A reader of protobuf's wire format that knows which fields nobody has looked at.

A field that a program ignores is an answer that may be wrong, so a `Message` counts what was read
of it: `unread()` names the rest. Large arrays are never copied, only viewed.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mobilecv_runtime.errors import BundleError

Schema: TypeAlias = Mapping[str, Mapping[int, tuple[str, str]]]
"""Message name -> field number -> (field name, kind). A kind is `int` (varint: bool, enum, int32,
int64, uint64), `float`, `double`, `string`, `bytes` or the name of a message; a `*` before it says
that the field is repeated."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH: Final = 100
_WIRE_TYPES: Final = {"int": _VARINT, "float": _FIXED32, "double": _FIXED64}


class Message:
    """One protobuf message, decoded field by field when asked."""

    def __init__(self, data: memoryview, name: str, schema: Schema, depth: int = 0) -> None:
        """Find the fields of a message.

        Args:
            data: Its bytes.
            name: The name of the message in the schema.
            schema: The fields of all messages.
            depth: How many messages this one is nested in.

        Raises:
            BundleError: If the bytes are no valid message.
        """
        if depth > _MAX_DEPTH:
            raise BundleError(f"{name}: messages nested deeper than {_MAX_DEPTH}")
        self.name = name
        self._schema, self._depth = schema, depth
        self._numbers = {field: number for number, (field, _) in schema[name].items()}
        self._fields: dict[int, list[tuple[int, Any]]] = {}
        self._read: set[int] = set()
        for number, wire_type, value in _fields(data, name):
            self._fields.setdefault(number, []).append((wire_type, value))

    def has(self, field: str) -> bool:
        """Whether the field was written; a scalar that equals its default never is."""
        return self._numbers[field] in self._fields

    def which(self, *fields: str) -> str | None:
        """Which one of some fields was written, or None."""
        return next((field for field in fields if self.has(field)), None)

    def present(self) -> list[str]:
        """The names of all known fields that were written."""
        known = self._schema[self.name]
        return [known[number][0] for number in self._fields if number in known]

    def unread(self) -> list[str]:
        """The fields that were written and never asked for, by name, or number if unknown."""
        known = self._schema[self.name]
        return [
            known[number][0] if number in known else f"field {number}"
            for number in sorted(self._fields.keys() - self._read)
        ]

    def integer(self, field: str) -> int:
        """A varint field as a signed 64-bit value; 0 if not written."""
        values = self._take(field, "int")
        return _signed(values[-1][1]) if values else 0

    def integers(self, field: str) -> list[int]:
        """A repeated varint field, packed or not."""
        numbers: list[int] = []
        for wire_type, value in self._take(field, "*int"):
            if wire_type == _VARINT:
                numbers.append(_signed(value))
                continue
            position = 0
            while position < len(value):
                number, position = _varint(value, position, self.name)
                numbers.append(_signed(number))
        return numbers

    def real(self, field: str) -> float:
        """A float or double field; 0.0 if not written."""
        kind = self._kind(field)
        values = self._take(field, kind)
        if not values:
            return 0.0
        layout = "<f" if kind == "float" else "<d"
        return float(struct.unpack(layout, values[-1][1])[0])

    def reals(self, field: str) -> NDArray[Any]:
        """A repeated float or double field as a view of float32 or float64."""
        kind = self._kind(field)
        dtype = np.dtype("<f4" if kind == "*float" else "<f8")
        parts = [value for _, value in self._take(field, kind)]
        if any(len(part) % dtype.itemsize for part in parts):
            raise BundleError(f"{self.name}.{field}: its length is no multiple of a number's")
        if len(parts) == 1:
            return np.frombuffer(parts[0], dtype)
        return np.frombuffer(b"".join(parts), dtype)

    def text(self, field: str) -> str:
        """A string field; empty if not written."""
        values = self._take(field, "string")
        return _decode(values[-1][1], f"{self.name}.{field}") if values else ""

    def texts(self, field: str) -> list[str]:
        """A repeated string field."""
        return [_decode(v, f"{self.name}.{field}") for _, v in self._take(field, "*string")]

    def data(self, field: str) -> memoryview:
        """A bytes field; empty if not written."""
        values = self._take(field, "bytes")
        return values[-1][1] if values else memoryview(b"")

    def message(self, field: str) -> Message:
        """A nested message; an empty one if not written."""
        values = self._take(field, self._kind(field))
        # A message written in parts is the parts' concatenation.
        whole = values[0][1] if len(values) == 1 else memoryview(b"".join(v for _, v in values))
        return Message(whole, self._kind(field), self._schema, self._depth + 1)

    def messages(self, field: str) -> list[Message]:
        """A repeated nested message."""
        kind = self._kind(field)
        name, depth = kind.removeprefix("*"), self._depth + 1
        return [Message(value, name, self._schema, depth) for _, value in self._take(field, kind)]

    def entries(self, field: str) -> Iterator[tuple[str, Message]]:
        """A map from strings to messages, as (key, value)."""
        for entry in self.messages(field):
            yield entry.text("key"), entry.message("value")

    def _kind(self, field: str) -> str:
        return self._schema[self.name][self._numbers[field]][1]

    def _take(self, field: str, kind: str) -> list[tuple[int, Any]]:
        number = self._numbers[field]
        if self._schema[self.name][number][1] != kind:
            raise TypeError(f"{self.name}.{field} is no {kind}")
        self._read.add(number)
        values = self._fields.get(number, [])
        scalar = kind.removeprefix("*")
        wanted = {_WIRE_TYPES.get(scalar, _BYTES)}
        if kind.startswith("*"):
            wanted.add(_BYTES)  # Repeated numbers may be packed.
        if any(wire_type not in wanted for wire_type, _ in values):
            raise BundleError(f"{self.name}.{field}: not of the type that the specification gives")
        return values


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _decode(value: memoryview, field: str) -> str:
    try:
        return str(value, "utf-8")
    except UnicodeDecodeError as error:
        raise BundleError(f"{field}: not valid UTF-8") from error


def _varint(data: memoryview, position: int, name: str) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position
        shift += 7
    raise BundleError(f"{name}: truncated, or not a protobuf message")


def _fields(data: memoryview, name: str) -> Iterator[tuple[int, int, Any]]:
    position, end = 0, len(data)
    while position < end:
        tag, position = _varint(data, position, name)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            value, position = _varint(data, position, name)
            yield number, wire_type, value
            continue
        if wire_type == _BYTES:
            length, position = _varint(data, position, name)
        elif wire_type in (_FIXED32, _FIXED64):
            length = 4 if wire_type == _FIXED32 else 8
        else:
            raise BundleError(f"{name}: not a protobuf message (wire type {wire_type})")
        if number == 0 or length > end - position:
            raise BundleError(f"{name}: truncated, or not a protobuf message")
        yield number, wire_type, data[position : position + length]
        position += length
