"""The layers of neural networks, each lowered to ONNX operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from mobilecv_runtime.coreml.layers.activation import ACTIVATION
from mobilecv_runtime.coreml.layers.constants import CONSTANTS
from mobilecv_runtime.coreml.layers.convolution import CONVOLUTION
from mobilecv_runtime.coreml.layers.elementwise import ELEMENTWISE
from mobilecv_runtime.coreml.layers.joining import JOINING
from mobilecv_runtime.coreml.layers.layer import Layer
from mobilecv_runtime.coreml.layers.layer_graph import LayerGraph, Tensor
from mobilecv_runtime.coreml.layers.linear import LINEAR
from mobilecv_runtime.coreml.layers.normalisation import NORMALISATION
from mobilecv_runtime.coreml.layers.padding import PADDING
from mobilecv_runtime.coreml.layers.pooling import POOLING
from mobilecv_runtime.coreml.layers.reduction import REDUCTION
from mobilecv_runtime.coreml.layers.resizing import RESIZING
from mobilecv_runtime.coreml.layers.shapes import SHAPES
from mobilecv_runtime.coreml.layers.slicing import SLICING
from mobilecv_runtime.coreml.layers.unary import UNARY

__all__ = ["LOWERINGS", "Layer", "LayerGraph", "Tensor"]

LOWERINGS: Final[Mapping[str, Callable[[LayerGraph, Layer], Tensor | list[Tensor]]]] = {
    **ACTIVATION,
    **CONSTANTS,
    **CONVOLUTION,
    **ELEMENTWISE,
    **JOINING,
    **LINEAR,
    **NORMALISATION,
    **PADDING,
    **POOLING,
    **REDUCTION,
    **RESIZING,
    **SHAPES,
    **SLICING,
    **UNARY,
}
"""Layer type -> the function that lowers it."""
