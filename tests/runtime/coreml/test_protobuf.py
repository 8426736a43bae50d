from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilecv_runtime.coreml.protobuf import Message
from mobilecv_runtime.coreml.schema import SCHEMA
from mobilecv_runtime.errors import BundleError

FIELDS = {
    "Test": {
        1: ("number", "int"),
        2: ("numbers", "*int"),
        3: ("text", "string"),
        4: ("inner", "Test"),
        5: ("real", "float"),
        6: ("reals", "*float"),
        7: ("wide", "double"),
        8: ("blob", "bytes"),
    }
}


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def chunk(field: int, data: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(data)) + data


def message(data: bytes) -> Message:
    return Message(memoryview(data), "Test", FIELDS)


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_survive(number: int) -> None:
    assert message(varint(1 << 3) + varint(number)).integer("number") == number


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_repeated_integers_may_be_packed_or_not(numbers: list[int]) -> None:
    packed = chunk(2, b"".join(map(varint, numbers)))
    loose = b"".join(varint(2 << 3) + varint(number) for number in numbers)
    assert message(packed).integers("numbers") == numbers
    assert message(loose).integers("numbers") == numbers


def test_reals_are_viewed_in_place() -> None:
    data = message(chunk(6, struct.pack("<3f", 1, 2, 3)) + varint(5 << 3 | 5) + b"\0\0\0\x40")
    assert data.reals("reals").tolist() == [1, 2, 3]
    assert data.real("real") == 2
    assert data.real("wide") == 0


def test_a_field_that_nobody_read_is_told() -> None:
    data = message(chunk(3, b"hello") + chunk(99, b"?") + varint(1 << 3) + b"\1")
    assert data.unread() == ["number", "text", "field 99"]
    assert data.text("text") == "hello"
    assert data.unread() == ["number", "field 99"]


def test_a_message_in_parts_is_merged() -> None:
    data = message(chunk(4, varint(1 << 3) + b"\5") + chunk(4, chunk(3, b"x")))
    assert (data.message("inner").integer("number"), data.message("inner").text("text")) == (5, "x")


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",
        b"\x1a\x05ab",
        b"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\xff" * 20,
        b"\x0b",
        b"\x02\x00",
    ],
    ids=["no value", "short", "huge length", "endless varint", "group", "field 0"],
)
def test_broken_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(BundleError, match="Test"):
        message(data)


def test_a_field_of_another_wire_type_is_refused() -> None:
    with pytest.raises(BundleError, match=r"Test\.text: not of the type"):
        message(varint(3 << 3) + b"\1").text("text")


def test_endless_nesting_is_refused() -> None:
    data = b""
    for _ in range(200):
        data = chunk(4, data)
    with pytest.raises(BundleError, match="nested deeper"):
        descend(message(data))


def descend(inner: Message) -> None:
    while True:
        inner = inner.message("inner")


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    try:
        model = Message(memoryview(data), "Model", SCHEMA)
        model.message("description").message("metadata").messages("userDefined")
        model.unread()
    except BundleError:
        pass
