"""Takes over the bare TensorFlow calls that tf.keras 2.4 to 2.15 kept as layers in a graph.

`x / 127.5 - 1` in a functional model became two `TFOpLambda`, `x[..., ::-1]` a `SlicingOpLambda`.
Keras 3 knows neither. The functions that classifiers use become a layer of ours that calls the very
same TensorFlow function; arithmetic on the input itself becomes a `Rescaling`, so that it is seen
that the model normalises inside.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from mobilecv.captures.tensorflow import tensorflow_module
from mobilecv_runtime.errors import SourceError

TENSORFLOW_CALL: Final = "TensorFlowCall"
"""The class of our layer, in a rewritten config."""

_CLASSES: Final = frozenset({"TFOpLambda", "SlicingOpLambda"})
_SLICING: Final = "__operators__.getitem"
_CONSTANT: Final = "_CONSTANT_VALUE"
_FUNCTIONS: Final = frozenset({
    _SLICING, "__operators__.add", "cast", "clip_by_value", "compat.v1.transpose", "concat",
    "expand_dims", "identity", "image.resize", "math.add", "math.divide", "math.maximum",
    "math.minimum", "math.multiply", "math.reduce_max", "math.reduce_mean", "math.sigmoid",
    "math.subtract", "math.tanh", "math.truediv", "nn.bias_add", "nn.leaky_relu", "nn.relu",
    "nn.relu6", "nn.sigmoid", "nn.silu", "nn.softmax", "reshape", "squeeze", "stack", "transpose",
})  # fmt: skip
"""Names below `tf`; each gives a tensor of one argument or more and touches nothing else."""


def is_tensorflow_call(class_name: str) -> bool:
    """Whether a layer of a config is a bare TensorFlow call."""
    return class_name in _CLASSES


def rewrite_tensorflow_calls(graph: dict[str, Any]) -> None:
    """Rewrite the calls in the config of a functional model, in place.

    Raises:
        SourceError: If one is of another function than those that are known.
    """
    input_like = {each["name"] for each in graph["layers"] if each["class_name"] == "InputLayer"}
    for layer in graph["layers"]:
        if not is_tensorflow_call(layer["class_name"]):
            continue
        _rewrite_call(layer)
        if _rewrite_rescaling(layer, input_like):
            input_like.add(layer["name"])


def _rewrite_call(layer: dict[str, Any]) -> None:
    function = layer["config"]["function"]
    nodes = layer["inbound_nodes"]
    if function not in _FUNCTIONS or len(nodes) != 1:
        raise SourceError(
            f"layer {layer['name']!r}: the bare call tf.{function} cannot be taken over; known are "
            f"{', '.join(sorted(_FUNCTIONS - {_SLICING}))}"
        )
    listed = isinstance(nodes[0][0], list)
    first = nodes[0] if listed else [nodes[0]]
    named = dict(first[0][3])
    named.pop("name", None)
    tensors = {key: value for key, value in named.items() if _is_reference(value)}
    constants = {key: value for key, value in named.items() if key not in tensors}
    leading = [each[2] for each in first if each[0] == _CONSTANT]
    layer["class_name"] = TENSORFLOW_CALL
    layer["config"] = {
        "name": layer["name"],
        "function": function,
        "listed": listed,
        "leading": leading,
        "tensors": list(tensors),
        "constants": constants,
    }
    references = [each for each in first if each[0] != _CONSTANT] + list(tensors.values())
    layer["inbound_nodes"] = [[[*each[:3], {}] for each in references]]


def _is_reference(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and isinstance(value[0], str)
        and all(isinstance(number, int) for number in value[1:])
    )


def _rewrite_rescaling(layer: dict[str, Any], input_like: set[str]) -> bool:
    """Arithmetic of the input and one number becomes a Rescaling; tells whether it did."""
    config = layer["config"]
    number = config["constants"].get("y")
    plain = not (config["leading"] or config["tensors"] or config["listed"])
    if not (plain and isinstance(number, int | float)):
        return False
    if layer["inbound_nodes"][0][0][0] not in input_like:
        return False
    match config["function"]:
        case "math.truediv" | "math.divide" if number != 0:
            scale, offset = 1.0 / number, 0.0
        case "math.multiply":
            scale, offset = float(number), 0.0
        case "math.subtract":
            scale, offset = 1.0, -float(number)
        case "math.add" | "__operators__.add":
            scale, offset = 1.0, float(number)
        case _:
            return False
    layer["class_name"] = "Rescaling"
    layer["config"] = {"name": layer["name"], "scale": scale, "offset": offset}
    return True


@cache
def tensorflow_call_class(keras: Any) -> type:
    """Our layer; a function, since Keras is not imported before it is needed.

    Args:
        keras: The module.
    """

    class TensorFlowCall(keras.layers.Layer):  # type: ignore[misc]
        """Calls one function of TensorFlow, as the graph of tf.keras did."""

        def __init__(
            self,
            *,
            function: str,
            listed: bool,
            leading: list[Any],
            tensors: list[str],
            constants: dict[str, Any],
            name: str,
        ) -> None:
            super().__init__(name=name)
            self._function, self._listed, self._leading = function, listed, leading
            self._tensors, self._constants = tensors, constants

        def call(self, inputs: Any) -> Any:
            """Give what the function gives."""
            given = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
            count = len(given) - len(self._tensors)
            named = dict(zip(self._tensors, given[count:], strict=True))
            first = [*self._leading, *given[:count]]
            if self._function == _SLICING:
                return first[0][_slices(self._constants["slice_spec"])]
            if self._listed and self._function in ("concat", "stack"):
                first = [first]
            return _function_of(self._function)(*first, **named, **self._constants)

    return TensorFlowCall


def _function_of(name: str) -> Any:
    tf = tensorflow_module()
    if name == "__operators__.add":
        return tf.math.add
    found: Any = tf
    for word in name.split("."):
        found = getattr(found, word)
    return found


def _slices(spec: list[Any]) -> tuple[Any, ...]:
    """The index that a config describes."""
    return tuple(_slice(each) for each in spec)


def _slice(said: Any) -> Any:
    if isinstance(said, dict) and said.get("class_name") == "__ellipsis__":
        return Ellipsis
    if isinstance(said, dict):
        return slice(said.get("start"), said.get("stop"), said.get("step"))
    return said
