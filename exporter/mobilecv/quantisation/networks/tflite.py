"""A float `.tflite` as quantisation sees it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, Final

import numpy as np

from mobilecv.quantisation.biases import storable_biases
from mobilecv.quantisation.networks.interface import (
    Floats,
    Kind,
    Layer,
    Slot,
    Watcher,
    Weights,
    Window,
)
from mobilecv.quantisation.networks.threads import usable_threads
from mobilecv.quantisation.ranges import LARGEST_WEIGHT, PIXEL_RANGE, Observed, Range
from mobilecv.quantisation.tflite import head_outputs, to_int8
from mobilecv.quantisation.tflite_graph import EditableTflite
from mobilecv.quantisation.weight_steps import unusual_steps
from mobilecv_runtime.child import tell
from mobilecv_runtime.errors import guest
from mobilecv_runtime.spec import UInt8Array
from mobilecv_runtime.tflite_layers import multiply_adds

_ORDERS: Final[Mapping[str, tuple[int, ...]]] = {
    "CONV_2D": (0, 3, 1, 2),
    "DEPTHWISE_CONV_2D": (3, 0, 1, 2),
    "FULLY_CONNECTED": (0, 1),
}
"""See `Weights.order`."""
_INPUT_AXES: Final[Mapping[str, int]] = {
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 1,
}
_SAME_PADDING: Final = 0
_NO_ACTIVATION, _RELU = 0, 1


class TfliteNetwork:
    """A float `.tflite` without associated files."""

    suffix = ".tflite"
    fallback = "tflite-fp16"

    def __init__(self, model: bytes) -> None:
        """Read the graph."""
        self._model, self._graph = model, EditableTflite.of(model)
        head = set(head_outputs(self._graph))
        self._readers = Counter(int(index) for op in self._graph.operators for index in op.inputs)
        self.layers = [
            self._layer(number, op, head) for number, op in enumerate(self._graph.operators)
        ]
        self.outputs = {self._graph.tensor_name(index) for index in self._graph.outputs}
        self.tensor_bytes = sum(
            4 * math.prod(self._graph.shape_of(index)) for index in self._graph.results()
        )

    @classmethod
    def of(cls, model: bytes) -> TfliteNetwork:
        """Take any float `.tflite`, with global pooling as int8 needs it."""
        graph = EditableTflite.of(model)
        graph.average_globally_by_mean()
        return cls(graph.to_bytes())

    def to_bytes(self) -> bytes:
        """See `FloatNetwork`."""
        return self._model

    def constant(self, slot: Slot) -> Floats:
        """See `FloatNetwork`."""
        number, place = slot
        return self._graph.constant(int(self._graph.operators[number].inputs[place]))

    def with_constants(self, changed: Mapping[Slot, Floats]) -> TfliteNetwork:
        """See `FloatNetwork`."""
        graph = EditableTflite.of(self._model)
        for (number, place), values in changed.items():
            graph.replace(number, place, values)
        return TfliteNetwork(graph.to_bytes())

    def observe(self, photos: UInt8Array, watcher: Watcher | None = None) -> dict[str, Observed]:
        """See `FloatNetwork`."""
        random = np.random.default_rng(0)
        observed: dict[str, Observed] = {}
        image = self._graph.tensor_name(self._graph.inputs[0])
        for held in self._runs(photos, self._graph.results()):
            for name, values in held:
                if name != image:
                    observed.setdefault(name, Observed(name)).add(values, random)
                if watcher and name in watcher.tensors:
                    watcher.add(name, values)
        return observed

    def activations(
        self, photos: UInt8Array, tensors: Collection[str]
    ) -> Iterator[Mapping[str, Floats]]:
        """See `FloatNetwork`."""
        wanted = [
            index for index in self._graph.results() if self._graph.tensor_name(index) in tensors
        ]
        for held in self._runs(photos, wanted):
            yield {name: values for name, values in held if name in tensors}

    def quantised(self, ranges: Mapping[str, Range], in_float: Collection[str]) -> bytes:
        """See `FloatNetwork`."""
        image = self._graph.tensor_name(self._graph.inputs[0])
        ranges = {**ranges, image: PIXEL_RANGE}
        changed = storable_biases(self, ranges)
        network = self.with_constants(changed) if changed else self
        return to_int8(network.to_bytes(), ranges, network._weight_ranges, in_float)

    @cached_property
    def _weight_ranges(self) -> dict[str, tuple[Floats, Floats]]:
        """The (lows, highs) of weights with other scales than their largest values give."""
        slots = {layer.name: layer.weights.slot for layer in self.layers if layer.weights}
        found = {}
        for name, (axis, steps) in unusual_steps(self).items():
            number, place = slots[name]
            index = int(self._graph.operators[number].inputs[place])
            shape = [1] * len(self._graph.shape_of(index))
            shape[axis] = -1
            highs = (LARGEST_WEIGHT * steps).astype(np.float32).reshape(shape)
            found[self._graph.tensor_name(index)] = (-highs, highs)
        return found

    def _runs(
        self, photos: UInt8Array, indices: Sequence[int]
    ) -> Iterator[Iterator[tuple[str, Floats]]]:
        """For one photo after the other, the names and values of the image and of some tensors.

        They are made outputs, since XNNPACK hides all others: LiteRT's own kernels, under which
        every tensor can be looked at, take three times as long for ResNet50.
        """
        litert = guest("ai_edge_litert.interpreter", extra="tflite")
        interpreter = litert.Interpreter(
            model_content=self._graph.giving(indices), num_threads=usable_threads()
        )
        interpreter.allocate_tensors()
        (image,) = interpreter.get_input_details()
        given = [(str(each["name"]), each["index"]) for each in interpreter.get_output_details()]
        for number, photo in enumerate(photos, 1):
            tell(f"photo {number} of {len(photos)}")
            pixels = photo[None].astype(np.float32)
            interpreter.set_tensor(image["index"], pixels)
            interpreter.invoke()
            results = ((name, interpreter.get_tensor(index)) for name, index in given)
            yield chain([(str(image["name"]), pixels)], results)

    def _layer(self, number: int, op: Any, head: Collection[str]) -> Layer:
        graph = self._graph
        name = graph.tensor_name(int(op.outputs[0]))
        weights = self._weights(number, op)
        activation = getattr(op.builtinOptions, "fusedActivationFunction", _NO_ACTIVATION)
        return Layer(
            name=name,
            kind="weighted" if weights else self._kind(op),
            inputs=tuple(
                graph.tensor_name(int(index))
                for index in op.inputs
                if index >= 0 and not graph.is_constant(int(index))
            ),
            weights=weights,
            is_linear=activation in (_NO_ACTIVATION, _RELU),
            is_head=name in head,
            multiply_adds=multiply_adds(graph, op),
        )

    def _weights(self, number: int, op: Any) -> Weights | None:
        graph, kind = self._graph, self._graph.op_name(op)
        if kind not in _ORDERS or not graph.is_constant(int(op.inputs[1])):
            return None
        if self._readers[int(op.inputs[1])] > 1:
            return None
        order, input_axis = _ORDERS[kind], _INPUT_AXES[kind]
        shape, channels = graph.shape_of(int(op.inputs[1])), graph.shape_of(int(op.inputs[0]))[-1]
        has_bias = len(op.inputs) > 2 and graph.is_constant(int(op.inputs[2]))
        is_dense = kind == "FULLY_CONNECTED"
        return Weights(
            slot=(number, 1),
            output_axis=order[0],
            # Grouped convolutions and depth multipliers have another number there.
            input_axis=input_axis if shape[input_axis] == channels else None,
            bias=(number, 2) if has_bias else None,
            order=order,
            groups=1 if is_dense else channels // shape[order[1]],
            window=None if is_dense else self._window(op, (shape[1], shape[2])),
        )

    def _window(self, op: Any, kernel: tuple[int, int]) -> Window:
        options = op.builtinOptions
        strides = int(options.strideH), int(options.strideW)
        dilations = int(options.dilationHFactor), int(options.dilationWFactor)
        before, after = (0, 0), (0, 0)
        if options.padding == _SAME_PADDING:
            _, *sizes, _ = self._graph.shape_of(int(op.inputs[0]))
            totals = [
                max((-(-size // stride) - 1) * stride + (length - 1) * dilation + 1 - size, 0)
                for size, stride, length, dilation in zip(
                    sizes, strides, kernel, dilations, strict=True
                )
            ]
            # An odd zero goes below, and to the right.
            before = (totals[0] // 2, totals[1] // 2)
            after = (totals[0] - before[0], totals[1] - before[1])
        return Window(
            kernel=kernel, strides=strides, dilations=dilations, before=before, after=after
        )

    def _kind(self, op: Any) -> Kind:
        graph, source, result = self._graph, int(op.inputs[0]), int(op.outputs[0])
        before, after = graph.shape_of(source), graph.shape_of(result)
        same_channels = before[-1:] == after[-1:]
        match graph.op_name(op):
            case "RELU" | "LEAKY_RELU":
                return "scalable"
            case "ADD" if self._sums(op) and op.builtinOptions.fusedActivationFunction <= _RELU:
                return "scalable"
            case "AVERAGE_POOL_2D" if op.builtinOptions.fusedActivationFunction <= _RELU:
                return "scalable"
            case "MAX_POOL_2D" if op.builtinOptions.fusedActivationFunction <= _RELU:
                return "moving"
            case "MEAN" if same_channels:
                axes = graph.constant(int(op.inputs[1]), np.int32).ravel()
                return "other" if len(before) - 1 in axes % len(before) else "scalable"
            case "PAD" if same_channels:
                return "moving"
            case "RESHAPE" if same_channels and math.prod(before) == before[-1]:
                return "moving"
            case _:
                return "other"

    def _sums(self, op: Any) -> bool:
        """Whether an addition takes two computed tensors of one shape."""
        graph, (one, other) = self._graph, (int(index) for index in op.inputs)
        constant = graph.is_constant(one) or graph.is_constant(other)
        return not constant and graph.shape_of(one) == graph.shape_of(other)
