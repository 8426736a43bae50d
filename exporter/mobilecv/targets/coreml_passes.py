"""Which passes of coremltools run over a network: those that do not change its numbers.

Source of the pass interface: coremltools 9.0, `converters/mil/mil/passes/graph_pass.py`
(https://github.com/apple/coremltools).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from mobilecv_runtime.errors import guest

_NAMESPACE: Final = "mobilecv"
_HARD_SIGMOIDS: Final = "use_hard_sigmoids"
_EQUAL_RANKS: Final = "use_equal_ranks"
_DEAD_CODE: Final = "common::dead_code_elimination"
_BEFORE_IT: Final = "common::divide_to_multiply"
_SIXTH: Final = np.float32(1 / 6)
_BROADCASTING: Final = frozenset({"add", "sub", "mul", "real_div", "maximum", "minimum"})
_CLEAR_RANK: Final = 3
"""Tensors of so many axes have channels, height and width, and are matched by them."""


def exact_passes(ct: Any, *, neural_network: bool) -> Any:
    """All passes of coremltools without the one that changes the numbers, and our own.

    `fuse_elementwise_to_batchnorm` turns a multiplication and an addition into a batch
    normalisation of variance 1, whose default epsilon of 1e-5 then divides the scale by
    sqrt(1.00001): an error of 5e-6 for every layer, which added up to 1e-4 in probability on the
    MLPerf Tiny ResNet8 (coremltools 9.0). `fuse_conv_scale` and `fuse_conv_bias` fold the same
    operations exactly.

    `use_hard_sigmoids` runs right behind the pass that makes multiplications of divisions, and
    before the one that would fold the addition of 3 into a convolution; `use_equal_ranks` runs
    last.

    Args:
        ct: The module `coremltools`.
        neural_network: Whether a neural network is to be written, and no ML Program.
    """
    _register()
    pipeline = ct.PassPipeline.DEFAULT
    pipeline.remove_passes({"common::fuse_elementwise_to_batchnorm"})
    place = pipeline.passes.index(_BEFORE_IT) + 1
    pipeline.insert_pass(index=place, pass_name=f"{_NAMESPACE}::{_HARD_SIGMOIDS}")
    if neural_network:
        pipeline.append_pass(f"{_NAMESPACE}::{_EQUAL_RANKS}")
        pipeline.append_pass(_DEAD_CODE)
    return pipeline


def _register() -> None:
    passes = guest("coremltools.converters.mil.mil.passes.graph_pass", extra="coreml")
    registry = guest("coremltools.converters.mil.mil.passes.pass_registry", extra="coreml")

    class Rewriting(passes.AbstractGraphPass):  # type: ignore[misc,name-defined]
        rewrite: Callable[[Any], None]

        def apply(self, prog: Any) -> None:
            for function in prog.functions.values():
                type(self).rewrite(function)

    for name, rewrite in ((_HARD_SIGMOIDS, use_hard_sigmoids), (_EQUAL_RANKS, use_equal_ranks)):
        made = type(name, (Rewriting,), {"rewrite": staticmethod(rewrite)})
        registry.register_pass(_NAMESPACE, override=True, name=name)(made)


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


def use_equal_ranks(block: Any) -> None:
    """Give both sides of an arithmetic operation as many axes, where one has few.

    coremltools writes layers of the first specification for some of them, such as a bias of shape
    (64,) beside (1, 64). NeuralNetwork.proto does not say whether such a vector runs along the
    channels or along the width.

    Args:
        block: A `coremltools.converters.mil.mil.Block`; it is changed in place.
    """
    builder = guest("coremltools.converters.mil.mil", extra="coreml").Builder
    with block:
        for operation in list(block.operations):
            for inner in operation.blocks:
                use_equal_ranks(inner)
            if operation.op_type not in _BROADCASTING:
                continue
            sides = {"x": operation.x, "y": operation.y}
            place, low = min(sides.items(), key=lambda side: side[1].rank)
            missing = max(side.rank for side in sides.values()) - low.rank
            if not missing or not 0 < low.rank < _CLEAR_RANK:
                continue
            if low.val is not None:
                values = np.reshape(low.val, (1,) * missing + tuple(low.shape))
                sides[place] = builder.const(val=values, before_op=operation)
            else:
                axes = list(range(missing))
                sides[place] = builder.expand_dims(x=low, axes=axes, before_op=operation)
            make = getattr(builder, operation.op_type)
            whole = make(**sides, name=operation.name, before_op=operation)
            _replace(operation, whole, block)


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
