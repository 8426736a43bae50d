"""The flatbuffer of a `.tflite` as objects that can be packed again."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mobilecv_runtime.errors import guest

_ALIGNMENT: Final = 16
"""Of constants, in bytes (`force_align` in TFLite's schema, which the Python writer forgets)."""
_LARGEST_SHARED: Final = 1 << 16
"""Lists above this size, in bytes, are kernels, of which no two are equal."""


def unpack(model: bytes) -> Any:
    """The model as objects, with all of its constants inside the flatbuffer.

    ai-edge-quantizer 0.10 puts constants of 256 KiB and more behind it (`Buffer.offset` of the
    schema, valid above 1), where packing anew would lose them, and older runtimes do not look.

    Args:
        model: The flatbuffer, without associated files.
    """
    schema = guest("ai_edge_litert.schema_py_generated", extra="tflite")
    found = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    for buffer in found.buffers:
        if buffer.offset > 1:
            outside = np.frombuffer(model, np.uint8, buffer.size, buffer.offset)
            buffer.data, buffer.offset, buffer.size = outside, 0, 0
    return found


def pack(model: Any, size: int) -> bytes:
    """Pack a model, with lists that are equal stored once.

    Every channel of an int8 model has a scale and a zero point, once for its weights and once for
    its bias, and all zero points are 0: of MobileNetV2 that is a sixteenth of the file.

    Args:
        model: A `ModelT`.
        size: About how many bytes to expect. A builder that has to grow doubles, and holds the old
            and the new buffer while it copies.
    """
    builder = _builder(size + (1 << 20))
    builder.Finish(model.Pack(builder), b"TFL3")
    # `Output` would make a copy, and `bytes` another.
    return bytes(memoryview(builder.Bytes)[builder.Head() :])


def _builder(size: int) -> Any:
    flatbuffers = guest("flatbuffers", extra="tflite")

    class Builder(flatbuffers.Builder):  # type: ignore[misc, name-defined]
        """Its methods have the names and parameters of the library's."""

        def __init__(self) -> None:
            super().__init__(size)
            self._places: dict[tuple[str, bytes], int] = {}

        def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802, N803
            is_data = elemSize == 1
            return super().StartVector(elemSize, numElems, _ALIGNMENT if is_data else alignment)

        def CreateNumpyVector(self, x: NDArray[Any]) -> int:  # noqa: N802
            if x.nbytes > _LARGEST_SHARED:
                return int(super().CreateNumpyVector(x))
            key = x.dtype.str, x.tobytes()
            if key not in self._places:
                self._places[key] = int(super().CreateNumpyVector(x))
            return self._places[key]

    return Builder()
