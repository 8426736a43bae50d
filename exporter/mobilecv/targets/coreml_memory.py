"""Keeps coremltools from copying the weights of a network again and again while it converts.

In six places coremltools 9.0 handles every weight as if it were small: it writes the whole graph
as text into a log message that nobody reads; has TensorFlow compute each constant once more; looks
for large numbers with three indices for each number; gives weights to protobuf as single Python
numbers; saves and loads the finished network; and copies it. Here each of these is replaced by what
gives the same file, down to the bytes, for the time of one conversion.

A place that another version of coremltools does not have is left alone: that costs memory, and
changes nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import ExitStack, contextmanager
from inspect import signature
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mobilecv.captures.tensorflow import tensorflow_module
from mobilecv.replacing import module_or_none, replaced

LARGE: Final = 1 << 20
"""Bytes from which on a weight is kept from being copied."""

_MODEL: Final = "coremltools.models.model"
_BUILDER: Final = "coremltools.models.neural_network.builder"
_TENSORFLOW: Final = "coremltools.converters.mil.frontend.tensorflow"
_CONSTANTS: Final = f"{_TENSORFLOW}.tf_graph_pass.constant_propagation"
_QUANTIZATION: Final = "coremltools.converters.mil.mil.passes.defs.quantization"
_TYPES: Final = "coremltools.converters.mil.mil.types.type_mapping"
_LARGEST_FLOAT16, _AS_GOOD_AS_INFINITE = 65504.0, 1e38
"""As `FP16ComputePrecision.fp16_overflow` of coremltools has them."""
_WEIGHTED: Final = ("add_convolution", "add_inner_product", "add_batched_mat_mul")
"""Methods of coremltools' NeuralNetworkBuilder that take weights by the name of `W`."""
_FLOAT_VALUES: Final = b"\x0a"
"""The tag of `WeightParams.floatValue`: field 1, packed (NeuralNetwork.proto)."""


@contextmanager
def few_copies(source: str) -> Iterator[None]:
    """Convert with fewer copies of the weights.

    Inside, models of coremltools give out their own specification instead of a copy of it.

    Args:
        source: What is converted: "tensorflow" or "pytorch".
    """
    with ExitStack() as stack:
        for change in (_overflow_found_in_parts, _weights_filled_at_once, _specifications_kept):
            stack.enter_context(change())
        if source == "tensorflow":
            stack.enter_context(_graphs_unprinted())
            stack.enter_context(_large_constants_left())
        yield


@contextmanager
def _graphs_unprinted() -> Iterator[None]:
    """`TFLoader.load` formats the graph, weights and all, for its log."""
    graph = tensorflow_module().compat.v1.GraphDef
    with replaced(graph, {"__str__": lambda _: "a graph"}):
        yield


@contextmanager
def _large_constants_left() -> Iterator[None]:
    """Large constants are read from the graph, if nothing is computed from them alone.

    The pass `constant_propagation` would put all constants into a new graph and fetch them from a
    session.
    """
    module = module_or_none(_CONSTANTS)
    determined = getattr(module, "const_determined_nodes", None)
    typed = getattr(module_or_none(_TYPES), "numpy_val_to_builtin_val", None)
    if determined is None or typed is None:
        yield
        return

    def to_compute(nodes: Mapping[str, Any], *arguments: Any) -> list[str]:
        found: list[str] = determined(nodes, *arguments)
        computed = set(found)
        for name in found:
            node = nodes[name]
            if node.op != "Const" or node.original_node is None:
                continue
            tensor = node.original_node.attr["value"].tensor
            if len(tensor.tensor_content) < LARGE:
                continue
            passed_on = _copies(name, nodes, computed)
            if passed_on is not None:
                array = tensorflow_module().make_ndarray(tensor)
                value, datatype = typed(array)
                for each in (name, *passed_on):
                    nodes[each].value, nodes[each].datatype = value, datatype
                node.original_node = None  # It holds the weight once more.
                computed.difference_update((name, *passed_on))
        return [name for name in found if name in computed]

    with replaced(module, {"const_determined_nodes": to_compute}):
        yield


def _copies(name: str, nodes: Mapping[str, Any], computed: Set[str]) -> list[str] | None:
    """The nodes that only pass a constant on; None if a constant is computed from it.

    Args:
        name: Of the constant.
        nodes: By their names.
        computed: Those whose values do not depend on an input.
    """
    found, pending = [], [name]
    while pending:
        for reader in nodes[pending.pop()].outputs:
            if reader not in computed:
                continue
            if nodes[reader].op != "Identity":
                return None
            found.append(reader)
            pending.append(reader)
    return found


@contextmanager
def _overflow_found_in_parts() -> Iterator[None]:
    """The pass `add_fp16_cast` leaves an operation in float32 if float16 cannot hold a constant."""
    owner = getattr(module_or_none(_QUANTIZATION), "FP16ComputePrecision", None)

    def fp16_overflow(operation: Any) -> bool:
        for given in operation.inputs.values():
            for value in given if isinstance(given, list | tuple) else [given]:
                is_constant = value.op is not None and value.op.op_type == "const"
                if not is_constant or not value.is_tensor_or_scalar_of(dtype="fp32"):
                    continue
                if _overflows(np.asarray(value.op.val.val)):
                    return True
        return False

    with replaced(owner, {"fp16_overflow": staticmethod(fp16_overflow)}):
        yield


def _overflows(values: NDArray[np.float32]) -> bool:
    """Whether a number is too large for float16; what is as good as infinite may become so."""
    for row in values if values.ndim > 1 else [values]:
        sizes = np.abs(row)
        if (sizes[sizes < _AS_GOOD_AS_INFINITE] > _LARGEST_FLOAT16).any():
            return True
    return False


@contextmanager
def _specifications_kept() -> Iterator[None]:
    """`MLModel` saves its specification to a file and loads it again, and gives out copies."""
    module = module_or_none(_MODEL)
    saved: dict[str, Any] = {}
    load = getattr(module, "_load_spec", None)
    if load is None:
        yield
        return

    def save_spec(spec: Any, filename: str) -> None:
        saved[filename] = spec

    def load_spec(filename: str) -> Any:
        return saved.pop(filename) if filename in saved else load(filename)

    with (
        replaced(module, {"_save_spec": save_spec, "_load_spec": load_spec}),
        replaced(getattr(module, "MLModel", None), {"get_spec": lambda model: model._spec}),
    ):
        yield


@contextmanager
def _weights_filled_at_once() -> Iterator[None]:
    """The builder appends weights to a message one by one, which grows by doubling."""
    builder = getattr(module_or_none(_BUILDER), "NeuralNetworkBuilder", None)
    with ExitStack() as stack:
        for name in _WEIGHTED:
            original = getattr(builder, name, None)
            if original is not None and "W" in signature(original).parameters:
                stack.enter_context(replaced(builder, {name: _filling(original)}))
        yield


def _filling(add: Callable[..., Any]) -> Callable[..., Any]:
    """A method that adds a layer without its weights, and then fills them in."""
    parameters = signature(add)

    def method(*arguments: Any, **options: Any) -> Any:
        bound = parameters.bind(*arguments, **options)
        weights = bound.arguments.get("W")
        if not isinstance(weights, np.ndarray) or weights.dtype != np.float32:
            return add(*arguments, **options)
        if weights.nbytes < LARGE:
            return add(*arguments, **options)
        flattened: list[NDArray[np.float32]] = []
        bound.arguments["W"] = later = weights.view(_Later)
        later.flattened = flattened
        layer = add(*bound.args, **bound.kwargs)
        (values,) = flattened
        message = getattr(layer, layer.WhichOneof("layer")).weights
        packed = (_FLOAT_VALUES, _varint(values.nbytes), values.data.cast("B"))
        message.MergeFromString(b"".join(packed))
        return layer

    return method


class _Later(np.ndarray[Any, np.dtype[np.float32]]):
    """An array that is put aside where it would be flattened, and gives nothing there."""

    flattened: list[NDArray[np.float32]]
    """Where it is put aside; shared with all views of the array."""

    def __array_finalize__(self, origin: Any) -> None:
        self.flattened = getattr(origin, "flattened", [])

    def flatten(self, order: Any = "C") -> Any:
        """Nothing, as the builder writes it before the weights are filled in."""
        self.flattened.append(np.ascontiguousarray(self.view(np.ndarray)))
        return np.zeros(0, np.float32).flatten(order)


def _varint(number: int) -> bytes:
    """As protobuf writes it: seven bits to a byte, the lowest first, all but the last marked."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)
