"""Reads the weight file of an ML Program, `weight.bin`, in place.

The file is a header of 64 bytes, then for each blob 64 bytes of metadata and, elsewhere, its data.
Nothing that the file claims about itself is believed before it was held against the real size.

Source: `mlmodel/src/MILBlob/Blob/StorageFormat.hpp` and `BlobDataType.hpp` of
https://github.com/apple/coremltools
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Final

from mobilecv_runtime.errors import BundleError

_HEADER: Final = struct.Struct("<II7Q")
_METADATA: Final = struct.Struct("<IIQQQ4Q")
_VERSION: Final = 2
_SENTINEL: Final = 0xDEADBEEF
_ALIGNMENT: Final = 64

_DATA_TYPES: Final = {
    1: "float16",
    2: "float32",
    3: "uint8",
    4: "int8",
    6: "int16",
    7: "uint16",
    8: "int4",
    9: "uint1",
    10: "uint2",
    11: "uint4",
    12: "uint3",
    13: "uint6",
    14: "int32",
    15: "uint32",
}
"""`MILBlob::Blob::BlobDataType`."""


class WeightFile:
    """A weight file, mapped into memory; its blobs are views."""

    def __init__(self, path: Path) -> None:
        """Map the file.

        Raises:
            BundleError: If it cannot be read, or is no weight file of version 2.
        """
        self._name = path.name
        try:
            with path.open("rb") as opened:
                self._data = memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:
            raise BundleError(f"{path}: the weights cannot be read ({error})") from error
        count, version, *reserved = self._unpack(_HEADER, 0, "the header")
        if version != _VERSION or any(reserved):
            raise BundleError(
                f"{path}: weights of format version {version}; mobilecv reads version {_VERSION}"
            )
        if _HEADER.size + count * _METADATA.size > len(self._data):
            raise BundleError(
                f"{path}: claims {count} blobs, which do not fit into {len(self._data)} bytes; "
                "copy the package again"
            )

    def blob(self, offset: int, data_type: str, bits: int) -> memoryview:
        """The data of one blob.

        Args:
            offset: Where its metadata starts, as the program says.
            data_type: The type of element that the program expects there.
            bits: How many bits all elements take together.

        Raises:
            BundleError: If no blob of that type and size lies there.
        """
        if offset < _HEADER.size or offset % _ALIGNMENT:
            raise BundleError(f"{self._name}: no blob can start at {offset}")
        where = f"the blob at {offset}"
        sentinel, code, size, start, padding, *reserved = self._unpack(_METADATA, offset, where)
        if sentinel != _SENTINEL or any(reserved):
            raise BundleError(f"{self._name}: no blob starts at {offset}")
        found = _DATA_TYPES.get(code, f"unknown type {code}")
        if found != data_type:
            raise BundleError(f"{self._name}: {where} holds {found}, not {data_type}")
        # The last byte of elements smaller than a byte is filled up.
        if size * 8 - padding != bits or padding >= 8:
            raise BundleError(f"{self._name}: {where} has {size} bytes, not {-(-bits // 8)}")
        if start < _HEADER.size or start + size > len(self._data):
            raise BundleError(
                f"{self._name}: {where} ends after the file, which has {len(self._data)} bytes; "
                "copy the package again"
            )
        return self._data[start : start + size]

    def _unpack(self, layout: struct.Struct, offset: int, where: str) -> tuple[int, ...]:
        if offset + layout.size > len(self._data):
            raise BundleError(
                f"{self._name}: {where} ends after the file, which has {len(self._data)} bytes; "
                "copy the package again"
            )
        return layout.unpack_from(self._data, offset)
