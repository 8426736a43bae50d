"""The first subgraph of a `.tflite` as objects: operations, tensors, constants."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mobilecv_runtime.errors import guest

_DATA_SLOT: Final = {"TRANSPOSE_CONV": 2}
"""Which input holds the data, where it is not the first one."""


class TfliteGraph:
    """A `.tflite` without associated files, with the tables that its numbers point into."""

    def __init__(self, model: bytes) -> None:
        """Read the flatbuffer."""
        self.schema = guest("ai_edge_litert.schema_py_generated", extra="tflite")
        self._unpacked = self.schema.ModelT.InitFromObj(self.schema.Model.GetRootAs(model, 0))
        (self._graph,) = self._unpacked.subgraphs
        self.operators: list[Any] = list(self._graph.operators)
        self.inputs = [int(index) for index in self._graph.inputs]
        self.outputs = [int(index) for index in self._graph.outputs]
        names = {
            number: name
            for name, number in vars(self.schema.BuiltinOperator).items()
            if isinstance(number, int)
        }
        self._op_names = [
            # Codes above 127 stand in the newer field only.
            names[max(code.builtinCode, code.deprecatedBuiltinCode)]
            for code in self._unpacked.operatorCodes
        ]

    def op_name(self, op: Any) -> str:
        """What the schema calls the operation, such as `CONV_2D`."""
        return str(self._op_names[op.opcodeIndex])

    def tensor_name(self, index: int) -> str:
        """A tensor's name."""
        name = self._graph.tensors[index].name
        return name.decode() if isinstance(name, bytes) else str(name)

    def shape(self, index: int) -> tuple[int, ...]:
        """A tensor's shape; () for a scalar."""
        shape = self._graph.tensors[index].shape
        return () if shape is None else tuple(int(size) for size in shape)

    def is_float32(self, index: int) -> bool:
        """Whether a tensor holds float32."""
        return bool(self._graph.tensors[index].type == self.schema.TensorType.FLOAT32)

    def data_input(self, op: Any) -> int:
        """The tensor that an operation works on, beside its constants."""
        return int(op.inputs[_DATA_SLOT.get(self.op_name(op), 0)])

    def is_constant(self, index: int) -> bool:
        """Whether the file holds a tensor's values."""
        return index >= 0 and self._data(index) is not None

    def constant(self, index: int, dtype: type[np.generic] = np.float32) -> NDArray[Any]:
        """The values of a constant tensor, in its own shape."""
        data = self._data(index)
        if data is None:
            raise ValueError(f"{self.tensor_name(index)} is no constant")
        return np.frombuffer(bytes(data), dtype).reshape(self.shape(index))

    def replace(self, number: int, slot: int, values: NDArray[np.float32]) -> None:
        """Give an operation another float32 constant.

        Converters let operations share tensors and buffers; one that is shared stays as it is, and
        the operation gets its own.

        Args:
            number: Of the operation.
            slot: Of its input.
            values: Of the same shape as before.
        """
        op, tensors, buffers = self.operators[number], self._graph.tensors, self._unpacked.buffers
        old = tensors[op.inputs[slot]]
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values, np.float32).tobytes(), np.uint8)
        uses = sum(int(op.inputs[slot]) in each.inputs for each in self.operators)
        if uses == 1 and sum(each.buffer == old.buffer for each in tensors) == 1:
            buffers[old.buffer] = buffer
            return
        tensor = self.schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = old.shape, old.type, len(buffers)
        tensor.name = f"{self.tensor_name(int(op.inputs[slot]))};of_operation_{number}"
        op.inputs = np.array(op.inputs, np.int32)
        op.inputs[slot] = len(tensors)
        buffers.append(buffer)
        tensors.append(tensor)

    def to_bytes(self) -> bytes:
        """The flatbuffer."""
        builder = guest("flatbuffers", extra="tflite").Builder(1 << 20)
        builder.Finish(self._unpacked.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _data(self, index: int) -> Any:
        data = self._unpacked.buffers[self._graph.tensors[index].buffer].data
        return None if data is None or not len(data) else data
