"""A network as a frozen TensorFlow graph, to be wrapped so that it takes raw pixels."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from numpy.typing import NDArray

from mobilecv.captures.interface import INPUT_NAME, NO_NORMALISATION, Normalisation
from mobilecv.replacing import replaced
from mobilecv_runtime.errors import ConversionError, guest
from mobilecv_runtime.heads import Head
from mobilecv_runtime.spec import Contract

_SCOPE: Final = "network"
"""The network's own names get this prefix: an input called `image` would be taken for ours."""


@dataclass(frozen=True, kw_only=True)
class TensorFlowGraph:
    """A GraphDef file without variables: normalised image in, the network's own outputs out."""

    path: Path
    input: str
    """The tensor that takes (batch, height, width, channels), float32, normalised."""
    output: str
    """The tensor that gives (batch, outputs), float32."""

    @classmethod
    def write(
        cls, function: Callable[[Any], Any], shape: tuple[int, int, int], path: Path
    ) -> TensorFlowGraph:
        """Trace a function of a batch, with its variables frozen in.

        Args:
            function: Takes a (batch, height, width, channels) float32 tensor.
            shape: (height, width, channels).
            path: Where the graph goes.

        Raises:
            ConversionError: If the graph is too large for one protobuf file (2 GiB).
        """
        tensorflow = tensorflow_module()
        signature = tensorflow.TensorSpec((None, *shape), tensorflow.float32, name="network_input")
        traced = tensorflow.function(function, autograph=False).get_concrete_function(signature)
        frozen = freeze(traced)
        del traced
        _spell_out_expm1(frozen.definition)
        try:
            path.write_bytes(frozen.definition.SerializeToString(deterministic=True))
        except ValueError as error:
            raise ConversionError(f"the network is too large for one graph file: {error}") from (
                error
            )
        return cls(path=path, input=frozen.inputs[0].name, output=frozen.outputs[0].name)

    def wrapped(
        self,
        contract: Contract,
        *,
        batch: int | None,
        dtype: Literal["float32", "uint8"],
        normalised_outside: bool = False,
    ) -> RawPixelGraph:
        """The network with normalisation before it and the head behind it.

        Args:
            contract: Says how to normalise and which head.
            batch: The fixed number of images, or None for any.
            dtype: The type of the pixels.
            normalised_outside: True if the caller normalises and orders the channels (as Core ML's
                image input does) and wants the head only.

        Returns:
            A graph from (batch, height, width, channels) to the head's output, (batch, labels),
            float32.
        """
        tf = tensorflow_module()
        steps = NO_NORMALISATION if normalised_outside else Normalisation.of(contract.preprocessing)
        graph = tf.Graph()
        with graph.as_default():
            shape = (batch, *contract.image.shape)
            image = tf.compat.v1.placeholder(tf.as_dtype(dtype), shape, INPUT_NAME)
            values = _normalise(tf.cast(image, tf.float32), steps, tf)
            (outputs,) = tf.graph_util.import_graph_def(
                self._definition(tf),
                input_map={self.input: values},
                return_elements=[self.output],
                name=_SCOPE,
            )
            scores = tf.identity(
                _scores(outputs, contract.head, tf), name=contract.head.output_name
            )
        definition = graph.as_graph_def(add_shapes=True)
        _remove(definition, f"{_SCOPE}/{self.input.partition(':')[0]}")
        return RawPixelGraph(definition=definition, image=image, scores=scores)

    def constants(self, names: Collection[str]) -> dict[str, NDArray[Any]]:
        """The values of some constants, by the names that `wrapped` gives them."""
        tf = tensorflow_module()
        found = {}
        for node in self._definition(tf).node:
            name = f"{_SCOPE}/{node.name}"
            if name in names:
                found[name] = tf.make_ndarray(node.attr["value"].tensor)
        return found

    def _definition(self, tf: Any) -> Any:
        definition = tf.compat.v1.GraphDef()
        definition.ParseFromString(self.path.read_bytes())
        return definition


@dataclass(frozen=True, kw_only=True)
class RawPixelGraph:
    """A network that takes raw pixels and gives the head's scores.

    A graph and no function: making a concrete function of it, or freezing one, runs TensorFlow's
    graph optimiser, which copies all weights some ten times (TensorFlow 2.21), and there is
    nothing left to freeze or to fold.
    """

    definition: Any
    """A GraphDef without variables, with shapes."""
    image: Any
    """The input tensor; like `scores`, it holds the graph and with it another copy of the
    weights."""
    scores: Any
    """The output tensor."""


def tensorflow_module() -> Any:
    """TensorFlow, if it is installed."""
    return guest("tensorflow", extra="keras")


@dataclass(frozen=True, kw_only=True)
class FrozenGraph:
    """What is left of a function when its variables have become constants."""

    definition: Any
    """A GraphDef, with nothing in it that the outputs do not need."""
    inputs: tuple[Any, ...]
    """The function's own tensors, by which those of the graph are named."""
    outputs: tuple[Any, ...]


def freeze(function: Any) -> FrozenGraph:
    """Make the variables of a concrete function constants.

    TensorFlow makes a function of the graph again and has its graph optimiser go through that,
    weights and all: VGG16 took 45 s and 6.5 GB (TensorFlow 2.21). Nobody needs that function, so it
    is left out: 4 s and 3.3 GB.
    """
    module = guest("tensorflow.python.framework.convert_to_constants", extra="keras")
    made: list[Any] = []

    def keep(function: Any, definition: Any, converted: Any) -> None:
        del function, converted
        made.append(definition)

    with replaced(module, {"_construct_concrete_function": keep}):
        frozen = module.convert_variables_to_constants_v2(function)
    definition = made.pop() if made else frozen.graph.as_graph_def()
    captured = {id(each) for each in function.graph.internal_captures}
    outputs = tuple(function.outputs)
    _leave_only(definition, {each.op.name for each in outputs})
    return FrozenGraph(
        definition=definition,
        inputs=tuple(each for each in function.inputs if id(each) not in captured),
        outputs=outputs,
    )


def _spell_out_expm1(definition: Any) -> None:
    """Make every `Expm1`, as of the activation `celu`, an `Exp` and a `Sub`.

    Neither coremltools 9.0 nor tf2onnx 1.17 knows it. What is lost where the result is near zero
    is at most half a unit in the last place of 1.
    """
    tf = tensorflow_module()
    for node in [each for each in definition.node if each.op == "Expm1"]:
        dtype = node.attr["T"].type
        power, one = definition.node.add(), definition.node.add()
        power.name, power.op = f"{node.name}/exp", "Exp"
        power.input[:] = node.input
        power.attr["T"].type = dtype
        one.name, one.op = f"{node.name}/one", "Const"
        one.attr["dtype"].type = dtype
        one.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(1, dtype=dtype, shape=()))
        node.op = "Sub"
        node.input[:] = [power.name, one.name]


def _leave_only(definition: Any, wanted: Collection[str]) -> None:
    """Take out the operations that do not lead to those that are wanted."""
    inputs = {node.name: node.input for node in definition.node}
    reached, waiting = set[str](), list(wanted)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            # An input is "name", "name:1" or "^name".
            waiting += [each.lstrip("^").partition(":")[0] for each in inputs[name]]
    for index in reversed(range(len(definition.node))):
        if definition.node[index].name not in reached:
            del definition.node[index]


def _remove(definition: Any, name: str) -> None:
    """Take out the network's own input, which nothing reads any more."""
    (index,) = (number for number, node in enumerate(definition.node) if node.name == name)
    del definition.node[index]


def _normalise(pixels: Any, steps: Normalisation, tf: Any) -> Any:
    if steps.reverses_channels:
        pixels = tf.reverse(pixels, axis=[-1])
    if steps.scale:
        pixels = pixels * tf.constant(_scalar_or_row(steps.scale), tf.float32)
    if steps.bias:
        pixels = pixels + tf.constant(_scalar_or_row(steps.bias), tf.float32)
    return pixels


def _scalar_or_row(values: tuple[float, ...]) -> float | tuple[float, ...]:
    return values[0] if len(values) == 1 else values


def _scores(outputs: Any, head: Head, tf: Any) -> Any:
    if head.appended == "softmax":
        outputs = tf.nn.softmax(outputs)
    elif head.appended == "sigmoid":
        outputs = tf.sigmoid(outputs)
    if head.is_one_unit:
        # A constant of the outputs' own rank: coremltools 9.0 writes a scalar as a vector, which
        # its neural networks' `add` does not define beside a matrix.
        return tf.concat([tf.constant([[1.0]]) - outputs, outputs], axis=-1)
    return tf.identity(outputs)
