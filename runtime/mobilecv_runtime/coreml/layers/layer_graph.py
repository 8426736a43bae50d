"""An ONNX graph in which the shape of every value is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mobilecv_runtime.coreml.onnx_graph import OnnxGraph
from mobilecv_runtime.errors import BundleError

Shape: TypeAlias = tuple[int, ...]

_LARGEST: Final = 1 << 28
"""Values in one tensor, 1 GB of float32; more is a damaged file. VGG16's largest has 2**22."""

_FLOAT, _FLOAT16, _INT64, _BOOL = 1, 10, 7, 9  # onnx.TensorProto.DataType


@dataclass(frozen=True)
class Tensor:
    """A value of the graph: float32, as all values of Core ML's neural networks."""

    name: str
    shape: Shape

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.shape)


class LayerGraph:
    """Adds operations to an ONNX graph and keeps account of shapes."""

    def __init__(self, graph: OnnxGraph) -> None:
        """Build on a graph, which may hold something already."""
        self._graph = graph
        self._reshaped: dict[str, Tensor] = {}
        self._negated: dict[str, Tensor] = {}

    def constant(self, value: NDArray[Any]) -> Tensor:
        """Hold an array."""
        return Tensor(self._graph.constant(value.astype(np.float32, copy=False)), value.shape)

    def number(self, value: float) -> Tensor:
        """Hold a scalar."""
        return self.constant(np.asarray(value, np.float32))

    def integers(self, values: Sequence[int]) -> str:
        """Hold axes, sizes or amounts; the name of an int64 vector."""
        return self._graph.integers(values)

    def apply(
        self, op: str, inputs: Sequence[Tensor | str], shape: Sequence[int], **attributes: Any
    ) -> Tensor:
        """Add an ONNX operation whose one result has this shape."""
        result = checked(shape)
        names = [value if isinstance(value, str) else value.name for value in inputs]
        return Tensor(self._graph.node(op, names, **attributes), result)

    def split(self, tensor: Tensor, axis: int, sizes: Sequence[int]) -> list[Tensor]:
        """Cut a tensor along an axis."""
        shapes = [(*tensor.shape[:axis], size, *tensor.shape[axis + 1 :]) for size in sizes]
        inputs = [tensor.name, self.integers(sizes)]
        names = self._graph.nodes("Split", inputs, len(sizes), axis=axis)
        return [Tensor(name, checked(shape)) for name, shape in zip(names, shapes, strict=True)]

    def reshape(self, tensor: Tensor, shape: Sequence[int]) -> Tensor:
        """Give a tensor another shape; the values stay in their order.

        A chain of reshapes becomes one, and one back to the start vanishes, so that rank-5 networks
        run as fast as rank-4 ones.
        """
        origin, target = self._reshaped.get(tensor.name, tensor), checked(shape)
        if math.prod(target) != math.prod(tensor.shape):
            raise BundleError(
                f"a tensor of shape {tensor.shape} cannot have shape {target}; convert the model "
                "again"
            )
        if target == origin.shape:
            return origin
        result = self.apply("Reshape", [origin, self.integers(target)], target)
        self._reshaped[result.name] = origin
        return result

    def pointwise(
        self, op: str, tensor: Tensor, *parameters: Tensor | str, **attributes: Any
    ) -> Tensor:
        """Add an operation on each value; the parameters are scalars."""
        # Before a reshape rather than behind it, where onnxruntime can fuse it.
        origin = self._reshaped.get(tensor.name, tensor)
        result = self.apply(op, [origin, *parameters], origin.shape, **attributes)
        return self.reshape(result, tensor.shape)

    def negate(self, tensor: Tensor) -> Tensor:
        """Change the signs; twice is not at all."""
        if tensor.name in self._negated:
            return self._negated[tensor.name]
        result = self.pointwise("Mul", tensor, self.number(-1.0))
        self._negated[result.name] = tensor
        return result

    def at_least(self, tensor: Tensor, bound: float) -> Tensor:
        """The larger of each value and a bound.

        coremltools writes ReLU6 as -max(-x, -6). Since max(-x, -6) is -min(x, 6) exactly, the signs
        cancel, and onnxruntime makes one operation of it and the convolution.
        """
        opposite = self._negated.get(tensor.name)
        if opposite is None:
            return self.pointwise("Clip", tensor, self.number(bound))
        return self.negate(self.pointwise("Clip", opposite, "", self.number(-bound)))

    def binary(self, op: str, first: Tensor, second: Tensor) -> Tensor:
        """Add an arithmetic operation of two values with numpy's broadcasting."""
        return self.apply(op, [first, second], broadcast(first.shape, second.shape))

    def transpose(self, tensor: Tensor, order: Sequence[int]) -> Tensor:
        """Permute the axes."""
        shape = [tensor.shape[axis] for axis in order]
        return self.apply("Transpose", [tensor], shape, perm=list(order))

    def reduce(self, op: str, tensor: Tensor, axes: Sequence[int]) -> Tensor:
        """Reduce along non-negative axes, which stay with length 1."""
        shape = [1 if axis in axes else size for axis, size in enumerate(tensor.shape)]
        return self.apply(op, [tensor, self.integers(sorted(axes))], shape, keepdims=1)

    def images(self, tensor: Tensor) -> Tensor:
        """View the leading dimensions as one batch: (batch, channels, height, width).

        Raises:
            BundleError: If the rank is below 3.
        """
        if tensor.rank < 3:
            raise BundleError(f"expected channels, height and width, found shape {tensor.shape}")
        return self.reshape(tensor, (math.prod(tensor.shape[:-3]), *tensor.shape[-3:]))

    def like(self, images: Tensor, tensor: Tensor) -> Tensor:
        """Undo `images`: give back the leading dimensions."""
        return self.reshape(images, (*tensor.shape[:-3], *images.shape[1:]))

    def position_of_maximum(self, tensor: Tensor, axis: int) -> Tensor:
        """The first index of the largest value along an axis, which stays with length 1."""
        shape = [1 if axis == other else size for other, size in enumerate(tensor.shape)]
        return self.number_of(self._graph.node("ArgMax", [tensor.name], axis=axis), shape)

    def truth(self, tensor: Tensor) -> str:
        """Where a value is not 0; the name of a boolean value."""
        return self._graph.node("Cast", [tensor.name], to=_BOOL)

    def number_of(self, boolean: str, shape: Sequence[int]) -> Tensor:
        """Turn a boolean value into 1.0 and 0.0."""
        return self.apply("Cast", [boolean], shape, to=_FLOAT)

    def boolean(self, op: str, inputs: Sequence[Tensor | str]) -> str:
        """Add an operation with a boolean result; its name."""
        names = [value if isinstance(value, str) else value.name for value in inputs]
        return self._graph.node(op, names)

    def indices(self, tensor: Tensor) -> str:
        """Turn values into indices; the name of an int64 value."""
        return self._graph.node("Cast", [tensor.name], to=_INT64)

    def rounded(self, tensor: Tensor) -> Tensor:
        """Round to float16, as a device stores it."""
        return self.pointwise("Cast", self.pointwise("Cast", tensor, to=_FLOAT16), to=_FLOAT)


def broadcast(*shapes: Shape) -> Shape:
    """The common shape of several, by numpy's rules.

    Raises:
        BundleError: If there is none.
    """
    rank = max(len(shape) for shape in shapes)
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    common = tuple(max(sizes) for sizes in zip(*padded, strict=True))
    if any(size not in (1, wanted) for s in padded for size, wanted in zip(s, common, strict=True)):
        found = " and ".join(map(str, shapes))
        raise BundleError(f"shapes {found} do not fit each other; convert the model again")
    return common


def checked(shape: Sequence[int]) -> Shape:
    """A shape that a tensor can have.

    Raises:
        BundleError: If it is empty or absurdly large.
    """
    # The product of a few absurd sizes is a large int, not an allocation.
    if any(size < 1 for size in shape) or math.prod(shape) > _LARGEST:
        raise BundleError(
            f"a tensor of shape {tuple(shape)} is empty or absurdly large; convert the model again"
        )
    return tuple(shape)
