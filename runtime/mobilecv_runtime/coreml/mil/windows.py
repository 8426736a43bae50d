"""Works out where the windows of convolutions and pools lie, and how far they reach over the edge.

Source: the coremltools MIL op reference, `conv` and `avg_pool`, the parameters `pad_type`, `pad`
and `ceil_mode`
(https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mobilecv_runtime.coreml.mil.call import Call
from mobilecv_runtime.errors import BundleError

_PAD_TYPES = ("valid", "custom", "same", "same_lower")


@dataclass(frozen=True, kw_only=True)
class Windows:
    """The windows over the spatial axes of an input."""

    strides: list[int]
    dilations: list[int]
    before: list[int]
    """Padding before the first element of each axis."""
    after: list[int]
    """Padding after the last element, including the overhang of `ceil_mode`."""

    @property
    def pads(self) -> list[int]:
        """As ONNX wants them: all that come before, then all that come after."""
        return self.before + self.after


def windows(call: Call, kernel: Sequence[int], *, ceil_mode: bool = False) -> Windows:
    """Where the windows of an operation lie.

    Raises:
        UnsupportedError: If the parameters contradict each other.
    """
    spatial = call.shape("x")[2:]
    axes = len(spatial)
    strides = call.integers("strides", [1] * axes)
    dilations = call.integers("dilations", [1] * axes)
    if not 1 <= axes <= 3 or not len(kernel) == len(strides) == len(dilations) == axes:
        raise BundleError(f"{call.operation}: its parameters do not fit {axes} spatial axes")
    if min([*kernel, *strides, *dilations, *spatial]) < 1:
        raise BundleError(f"{call.operation}: a size, stride or dilation below 1")
    reach = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True)]
    padding = _padding(call, spatial, reach, strides)
    if ceil_mode:
        padding = [
            _with_overhang(call, size, window, stride, pads)
            for size, window, stride, pads in zip(spatial, reach, strides, padding, strict=True)
        ]
    return Windows(
        strides=strides,
        dilations=dilations,
        before=[before for before, _ in padding],
        after=[after for _, after in padding],
    )


def stated_padding(
    call: Call, axes: int, kinds: Sequence[str]
) -> tuple[str, list[tuple[int, int]] | None]:
    """The pad_type of an operation, and its padding, where that does not follow from the sizes.

    Args:
        call: The operation.
        axes: How many spatial axes it has.
        kinds: The pad_types that it knows.

    Returns:
        The pad_type, and (before, after) for each axis; None for `same` and `same_lower`.

    Raises:
        UnsupportedError: If the parameters contradict each other.
    """
    kind = call.choice("pad_type", kinds, "valid")
    pad = call.integers("pad", [0] * 2 * axes)
    if len(pad) != 2 * axes or min(pad) < 0:
        raise BundleError(f"{call.operation}: the pad {pad} does not fit {axes} axes")
    if kind == "custom":
        return kind, list(zip(pad[0::2], pad[1::2], strict=True))
    if any(pad):
        raise call.refuse(f"it has a pad {pad} and the pad_type {kind!r}")
    return kind, [(0, 0)] * axes if kind == "valid" else None


def _padding(
    call: Call, spatial: Sequence[int], reach: Sequence[int], strides: Sequence[int]
) -> list[tuple[int, int]]:
    kind, stated = stated_padding(call, len(spatial), _PAD_TYPES)
    if stated is not None:
        return stated
    totals = [
        max((-(-size // stride) - 1) * stride + window - size, 0)
        for size, window, stride in zip(spatial, reach, strides, strict=True)
    ]
    if kind == "same_lower":
        return [(total - total // 2, total // 2) for total in totals]
    return [(total // 2, total - total // 2) for total in totals]


def _with_overhang(
    call: Call, size: int, window: int, stride: int, pads: tuple[int, int]
) -> tuple[int, int]:
    """The padding of one axis, extended to where the last window ends in `ceil_mode`."""
    before, after = pads
    if before != after:
        raise call.refuse(f"ceil_mode with the unequal pads {before} and {after}")
    count = (size + before + after - window + stride - 1) // stride + 1
    if (count - 1) * stride >= size + before and before + after > 0:
        count -= 1
    if count < 1 or (count - 1) * stride >= size + before:
        raise call.refuse("in ceil_mode its last window holds padding only")
    return before, max((count - 1) * stride + window - size - before, 0)
