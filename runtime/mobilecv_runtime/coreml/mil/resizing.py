"""Lowers the operations of ML Programs that enlarge images.

Source: the coremltools MIL op reference, `image_resizing`
(https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mobilecv_runtime.coreml.mil.call import Call, Lowering


def upsample_bilinear(call: Call) -> str:
    """`upsample_bilinear`: the sampling grid follows from the size of the result.

    With `align_corners` the spacing is (in - 1) / (out - 1); else it is in / out, and points lie
    at the centres of pixels.
    """
    corners = call.flag("align_corners", default=True)
    if call.flag("half_pixel_centers", default=not corners) == corners:
        raise call.refuse(f"align_corners and half_pixel_centers are both {corners}")
    mode = "align_corners" if corners else "half_pixel"
    return _resized(call, mode="linear", coordinate_transformation_mode=mode)


def upsample_nearest_neighbor(call: Call) -> str:
    """`upsample_nearest_neighbor`: every pixel repeated, for whole factors."""
    factors = [_factor(call, name) for name in ("scale_factor_height", "scale_factor_width")]
    if any(factor != int(factor) for factor in factors):
        raise call.refuse(f"the factors {factors} are not whole")
    return _resized(
        call,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def _resized(call: Call, **attributes: Any) -> str:
    call.require_float("x")
    shape = call.shape("x")
    if len(shape) != 4:
        raise call.refuse(f"mobilecv enlarges tensors of rank 4 only, this is {shape}")
    height = int(shape[2] * _factor(call, "scale_factor_height"))
    width = int(shape[3] * _factor(call, "scale_factor_width"))
    sizes = call.graph.integers([shape[0], shape[1], height, width])
    return call.graph.node("Resize", [call.tensor("x"), "", "", sizes], **attributes)


def _factor(call: Call, parameter: str) -> float:
    if not call.has(parameter):
        return 1.0
    floating = call.dtype(parameter).startswith("float")
    factor = call.real(parameter) if floating else float(call.integer(parameter))
    if not 0 < factor <= 1024:
        raise call.refuse(f"its {parameter} is {factor}")
    return factor


RESIZING: Final[Mapping[str, Lowering]] = {
    "upsample_bilinear": upsample_bilinear,
    "upsample_nearest_neighbor": upsample_nearest_neighbor,
}
