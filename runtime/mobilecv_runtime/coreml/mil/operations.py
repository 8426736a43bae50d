"""Holds the table of all operations of ML Programs that mobilecv understands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mobilecv_runtime.coreml.mil.activations import ACTIVATIONS
from mobilecv_runtime.coreml.mil.call import Lowering
from mobilecv_runtime.coreml.mil.convolution import CONVOLUTIONS
from mobilecv_runtime.coreml.mil.elementwise import ELEMENTWISE
from mobilecv_runtime.coreml.mil.gathering import GATHERING
from mobilecv_runtime.coreml.mil.linear import LINEAR
from mobilecv_runtime.coreml.mil.normalisation import NORMALISATIONS
from mobilecv_runtime.coreml.mil.reductions import REDUCTIONS
from mobilecv_runtime.coreml.mil.resizing import RESIZING
from mobilecv_runtime.coreml.mil.shapes import SHAPES

LOWERINGS: Final[Mapping[str, Lowering]] = {
    **ACTIVATIONS,
    **CONVOLUTIONS,
    **ELEMENTWISE,
    **GATHERING,
    **LINEAR,
    **NORMALISATIONS,
    **REDUCTIONS,
    **RESIZING,
    **SHAPES,
}

EXACT: Final = frozenset(
    {
        *SHAPES,
        "abs",
        "clip",
        "gather",
        "identity",
        "max_pool",
        "maximum",
        "minimum",
        "reduce_max",
        "reduce_min",
        "relu",
        "relu6",
        "select",
        "sign",
        "threshold",
        "thresholded_relu",
        "upsample_nearest_neighbor",
    }
)
"""Operations whose results are among their inputs, and so need no rounding to float16 anew."""
