"""Which passes of coremltools run over a network: those that do not change its numbers.

Source of the pass interface: coremltools 9.0, `converters/mil/mil/passes/graph_pass.py`
(https://github.com/apple/coremltools).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from mobilecv_runtime.errors import guest

_NAMESPACE: Final = "mobilecv"
_HARD_SIGMOIDS: Final = "use_hard_sigmoids"
_BEFORE_IT: Final = "common::divide_to_multiply"
_SIXTH: Final = np.float32(1 / 6)


def exact_passes(ct: Any) -> Any:
    """All passes of coremltools without the one that changes the numbers, and one of our own.

    `fuse_elementwise_to_batchnorm` turns a multiplication and an addition into a batch
    normalisation of variance 1, whose default epsilon of 1e-5 then divides the scale by
    sqrt(1.00001): an error of 5e-6 for every layer, which added up to 1e-4 in probability on the
    MLPerf Tiny ResNet8 (coremltools 9.0). `fuse_conv_scale` and `fuse_conv_bias` fold the same
    operations exactly.

    Ours runs right behind the pass that makes multiplications of divisions, and before the one
    that would fold the addition of 3 into a convolution.
    """
    _register()
    pipeline = ct.PassPipeline.DEFAULT
    pipeline.remove_passes({"common::fuse_elementwise_to_batchnorm"})
    place = pipeline.passes.index(_BEFORE_IT) + 1
    pipeline.insert_pass(index=place, pass_name=f"{_NAMESPACE}::{_HARD_SIGMOIDS}")
    return pipeline


def _register() -> None:
    passes = guest("coremltools.converters.mil.mil.passes.graph_pass", extra="coreml")
    registry = guest("coremltools.converters.mil.mil.passes.pass_registry", extra="coreml")

    class UseHardSigmoids(passes.AbstractGraphPass):  # type: ignore[misc,name-defined]
        def apply(self, prog: Any) -> None:
            for function in prog.functions.values():
                use_hard_sigmoids(function)

    registry.register_pass(_NAMESPACE, override=True, name=_HARD_SIGMOIDS)(UseHardSigmoids)


def use_hard_sigmoids(block: Any) -> None:
    """Make one `sigmoid_hard` of every relu6(x + 3) * (1/6), which is min(max(x/6 + 0.5, 0), 1).

    As a factor, float16 rounds 1/6 down by 0.024 %, and with it every value behind it: layer by
    layer in the same direction. In `sigmoid_hard` it scales only the part that is less than 1: the
    error is at most 1.3e-4, a quarter of float16's own step there, of either sign, and none at all
    where the value is 0, 0.5 or 1.

    Args:
        block: A `coremltools.converters.mil.mil.Block` whose divisions by constants are
            multiplications; it is changed in place.
    """
    builder = guest("coremltools.converters.mil.mil", extra="coreml").Builder
    with block:
        for operation in list(block.operations):
            for inner in operation.blocks:
                use_hard_sigmoids(inner)
            if operation.op_type == "mul":
                _rewrite(operation, block, builder)


def _rewrite(product: Any, block: Any, builder: Any) -> None:
    """Replace a product that ends the pattern, alone or with another factor beside it."""
    for first, second in _either_way(product):
        # Case 1: relu6(x + 3) * (1/6)
        if _is_number(first, _SIXTH) and (x := _shifted(second)) is not None:
            _replace(product, _hard_sigmoid(x, product, builder, product.name), block)
            return
        for inner, other in _either_way(second.op):
            # Case 2: (factor * relu6(x + 3)) * (1/6). Case 3: relu6(x + 3) * (factor * (1/6))
            pair = (first, inner)
            x = next((_shifted(each) for each in pair if _shifted(each) is not None), None)
            if x is None or not any(_is_number(each, _SIXTH) for each in pair):
                continue
            gate = _hard_sigmoid(x, product, builder, f"{product.name}_hard_sigmoid")
            whole = builder.mul(x=other, y=gate, name=product.name, before_op=product)
            _replace(product, whole, block)
            return


def _either_way(operation: Any) -> Iterator[tuple[Any, Any]]:
    """The factors of a multiplication in both orders; nothing for any other operation."""
    if operation is not None and operation.op_type == "mul":
        yield operation.x, operation.y
        yield operation.y, operation.x


def _shifted(value: Any) -> Any:
    """The x of a relu6(x + 3), or None."""
    clipped = value.op
    if clipped is None or not _clips_to_six(clipped):
        return None
    added = clipped.x.op
    if added is None or added.op_type != "add":
        return None
    for x, shift in ((added.x, added.y), (added.y, added.x)):
        if _is_number(shift, np.float32(3)):
            return x
    return None


def _clips_to_six(operation: Any) -> bool:
    if operation.op_type == "clip":
        return bool(operation.alpha.val == 0 and operation.beta.val == 6)
    return bool(operation.op_type == "relu6")


def _is_number(value: Any, number: np.float32) -> bool:
    """Whether it is that very constant, a single float32."""
    if value.val is None:
        return False
    array = np.asarray(value.val)
    # A vector could give the result another shape.
    return array.ndim == 0 and array.dtype == np.float32 and bool(array == number)


def _hard_sigmoid(x: Any, before: Any, builder: Any, name: str) -> Any:
    return builder.sigmoid_hard(
        x=x, alpha=_SIXTH, beta=np.float32(0.5), name=name, before_op=before
    )


def _replace(operation: Any, value: Any, block: Any) -> None:
    """What is left without use goes with the next elimination of dead code."""
    block.replace_uses_of_var_after_op(
        anchor_op=operation, old_var=operation.outputs[0], new_var=value
    )
    block.remove_ops([operation])
