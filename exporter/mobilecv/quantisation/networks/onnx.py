"""A float ONNX model as quantisation sees it."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from mobilecv.quantisation.onnx import folded, head_nodes, to_int8
from mobilecv.quantisation.ranges import PIXEL_RANGE, Observed, Range
from mobilecv.quantisation.weight_steps import unusual_steps
from mobilecv_runtime.child import tell
from mobilecv_runtime.errors import guest
from mobilecv_runtime.onnx_layers import onnx_census
from mobilecv_runtime.onnx_session import open_session
from mobilecv_runtime.spec import UInt8Array

_CHANNEL_AXIS = 1
_IMAGE_MOVERS = frozenset({"Cast", "Transpose", "Identity"})
"""What leaves the image's values as they are."""
_CLIPPERS = frozenset({"Relu", "Clip"})
"""What ONNX Runtime's quantiser takes for a matter of its input's range."""


class OnnxNetwork:
    """A float ONNX model with a uint8 NHWC image input, batch normalisation folded."""

    suffix = ".onnx"
    fallback = "onnx-fp16"

    def __init__(self, model: Any, shapes: Mapping[str, tuple[int, ...]] | None = None) -> None:
        """Read the graph.

        Args:
            model: The `onnx.ModelProto`.
            shapes: Of its tensors; None to run it once for them.
        """
        onnx = guest("onnx", extra="onnx")
        self._model, self._numpy = model, onnx.numpy_helper
        self._constants = {each.name: each for each in model.graph.initializer}
        (self._image,) = model.graph.input
        for number, node in enumerate(model.graph.node):
            # Nodes are left in float by name.
            node.name = node.name or f"node_{number}"
        self._names = {node.output[0]: node.name for node in model.graph.node}
        self._shapes = shapes or self._found_shapes()
        self._work = {each.name: each.multiply_adds for each in onnx_census(model).layers}
        self._readers = Counter(name for node in model.graph.node for name in node.input)
        self.outputs = {value.name for value in model.graph.output}
        head, clipped = set(head_nodes(model)), self._clipped()
        self.layers = [
            self._layer(
                number,
                node,
                is_head=node.name in head,
                is_fused=node.op_type in _CLIPPERS and node.input[0] in clipped,
            )
            for number, node in enumerate(model.graph.node)
        ]
        self.tensor_bytes = sum(4 * math.prod(shape) for shape in self._shapes.values())

    @classmethod
    def of(cls, path: Path) -> OnnxNetwork:
        """Read any float `.onnx` file, with global pooling as int8 needs it.

        Raises:
            ConversionError: If its batch normalisation cannot be folded.
        """
        network = cls(folded(path))
        return network._with_global_averages() or network

    def to_bytes(self) -> bytes:
        """See `FloatNetwork`."""
        return bytes(self._model.SerializeToString())

    def constant(self, slot: Slot) -> Floats:
        """See `FloatNetwork`."""
        number, place = slot
        name = self._model.graph.node[number].input[place]
        values: Floats = self._numpy.to_array(self._constants[name])
        return values

    def with_constants(self, changed: Mapping[Slot, Floats]) -> OnnxNetwork:
        """See `FloatNetwork`."""
        model = type(self._model)()
        model.CopyFrom(self._model)
        for (number, place), values in changed.items():
            name = f"constant_{place}_of_{model.graph.node[number].name}"
            # Nodes may share an initializer, so each gets its own.
            model.graph.node[number].input[place] = name
            for old in [each for each in model.graph.initializer if each.name == name]:
                model.graph.initializer.remove(old)
            model.graph.initializer.append(
                self._numpy.from_array(np.ascontiguousarray(values, np.float32), name)
            )
        used = {name for node in model.graph.node for name in node.input}
        for unused in [each for each in model.graph.initializer if each.name not in used]:
            model.graph.initializer.remove(unused)
        return OnnxNetwork(model, self._shapes)

    def observe(self, photos: UInt8Array, watcher: Watcher | None = None) -> dict[str, Observed]:
        """See `FloatNetwork`."""
        clipped = self._clipped()
        session = self._probe(self._made() - clipped.keys())
        random = np.random.default_rng(0)
        observed: dict[str, Observed] = {}
        for number, photo in enumerate(photos, 1):
            tell(f"photo {number} of {len(photos)}")
            found = self._run(session, photo[None])
            for name in list(found):
                values = found.pop(name).numpy()
                if values.dtype == np.float32 and values.size:
                    observed.setdefault(name, Observed(name)).add(values, random)
                if watcher and name in watcher.tensors:
                    watcher.add(name, _channels_last(values))
        for name, result in clipped.items():
            if result in observed:
                observed[name] = dataclasses.replace(observed[result], name=name)
        return observed

    def activations(
        self, photos: UInt8Array, tensors: Collection[str]
    ) -> Iterator[Mapping[str, Floats]]:
        """See `FloatNetwork`."""
        session = self._probe(tensors)
        for number, photo in enumerate(photos, 1):
            tell(f"photo {number} of {len(photos)}")
            found = self._run(session, photo[None])
            yield {name: _channels_last(found.pop(name).numpy()) for name in tensors}

    def quantised(self, ranges: Mapping[str, Range], in_float: Collection[str]) -> bytes:
        """See `FloatNetwork`."""
        pixels = dict.fromkeys(self._images() & ranges.keys(), PIXEL_RANGE)
        nodes = [self._names[layer] for layer in sorted(in_float)]
        model = to_int8(self._model, {**ranges, **pixels}, self._weight_steps, nodes)
        return bytes(model.SerializeToString())

    @cached_property
    def _weight_steps(self) -> dict[str, tuple[int, NDArray[np.float64]]]:
        """Constants with other steps than their largest values give -> channel axis, and steps."""
        slots = {layer.name: layer.weights.slot for layer in self.layers if layer.weights}
        found = {}
        for name, steps in unusual_steps(self).items():
            number, place = slots[name]
            found[self._model.graph.node[number].input[place]] = steps
        return found

    def _with_global_averages(self) -> OnnxNetwork | None:
        """Every average pooling of a whole image as a `GlobalAveragePool`, if there is one.

        ONNX Runtime's quantiser gives the result of `AveragePool` the scale of its input, whose
        range is many times wider than that of its averages; `GlobalAveragePool` has a scale of its
        own. On the MLPerf Tiny ResNet8 the answers moved by 0.013 in probability instead of 0.024.
        """
        model = type(self._model)()
        model.CopyFrom(self._model)
        found = [node for node in model.graph.node if self._averages_globally(node)]
        for node in found:
            node.op_type = "GlobalAveragePool"
            del node.attribute[:]
        return OnnxNetwork(model, self._shapes) if found else None

    def _averages_globally(self, node: Any) -> bool:
        if node.op_type != "AveragePool":
            return False
        attributes = self._attributes(node)
        size, left = (self._shapes[name][2:] for name in (node.input[0], node.output[0]))
        return (
            tuple(attributes["kernel_shape"]) == size
            and math.prod(left) == 1
            and not any(attributes.get("pads", ()))
        )

    def _found_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of all tensors on one image, by running it."""
        size = [each.dim_value for each in self._image.type.tensor_type.shape.dim[1:]]
        values = self._run(self._probe(), np.zeros((1, *size), np.uint8))
        return {name: tuple(value.shape()) for name, value in values.items()}

    def _clipped(self) -> dict[str, str]:
        """Tensors that are clipped by ReLU or the like, and used nowhere else -> the result.

        The quantiser gives both one range, and they are not looked at: the engine fuses the two
        operations then, and the photos of a ResNet50 take a third less time.
        """
        inner = self._made() - self.outputs
        found: dict[str, str] = {}
        for node in reversed(self._model.graph.node):
            source, result = node.input[0] if node.input else "", node.output[0]
            if node.op_type in _CLIPPERS and source in inner and self._readers[source] == 1:
                found[source] = found.get(result, result)
        return found

    def _made(self) -> set[str]:
        """The tensors that nodes give."""
        return {name for node in self._model.graph.node for name in node.output if name}

    def _images(self) -> set[str]:
        """The tensors that hold the image's own pixels."""
        found = {self._image.name}
        for node in self._model.graph.node:
            if node.op_type in _IMAGE_MOVERS and node.input[0] in found:
                found.add(node.output[0])
        return found

    def _probe(self, tensors: Collection[str] | None = None) -> Any:
        """A session that gives out some tensors, or every one."""
        onnx = guest("onnx", extra="onnx")
        outputs = self._model.graph.output
        known = [value.name for value in outputs]
        outputs.extend(
            onnx.ValueInfoProto(name=name)
            for node in self._model.graph.node
            for name in node.output
            if name not in known and (tensors is None or name in tensors)
        )
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "probe.onnx")
                # From a file, since the engine holds the bytes that it is given.
                path.write_bytes(self._model.SerializeToString())
                return open_session(str(path), threads=usable_threads(), spins=False)
        finally:
            del outputs[len(known) :]

    def _run(self, session: Any, photos: UInt8Array) -> dict[str, Any]:
        """What a session gives out, as ONNX Runtime holds it: `numpy()` makes a copy."""
        names = [output.name for output in session.get_outputs()]
        taken = guest("onnxruntime", extra="onnx").OrtValue.ortvalue_from_numpy(photos)
        values = session.run_with_ort_values(names, {self._image.name: taken})
        return dict(zip(names, values, strict=True))

    def _layer(self, number: int, node: Any, *, is_head: bool, is_fused: bool) -> Layer:
        weights = self._weights(number, node)
        return Layer(
            name=node.output[0],
            kind="weighted" if weights else self._kind(node),
            inputs=tuple(name for name in node.input if name and name not in self._constants),
            weights=weights,
            is_linear=True,  # A ReLU is a node of its own here.
            is_head=is_head,
            is_fused=is_fused,
            multiply_adds=self._work[node.name],
        )

    def _weights(self, number: int, node: Any) -> Weights | None:
        if len(node.input) < 2 or node.input[1] not in self._constants:
            return None
        if self._readers[node.input[1]] > 1:
            return None
        shape = tuple(self._constants[node.input[1]].dims)
        attributes = self._attributes(node)
        bias = (number, 2) if len(node.input) > 2 and node.input[2] in self._constants else None
        groups = attributes.get("group", 1)
        order: tuple[int, ...] | None = (0, 1)
        input_axis: int | None = 1
        window = None
        match node.op_type:
            case "Conv":
                if groups > 1:
                    input_axis = 0 if groups == shape[0] and shape[1] == 1 else None
                window = self._window(node, attributes)
                order = (0, 1, 2, 3) if window else None
            case "Gemm" if self._is_plain(attributes):
                if not attributes.get("transB", 0):
                    order, input_axis = (1, 0), 0
            case "MatMul" if len(shape) == 2:
                order, input_axis = (1, 0), 0
            case _:
                return None
        return Weights(
            slot=(number, 1),
            output_axis=order[0] if order else 0,
            input_axis=input_axis,
            bias=bias,
            order=order,
            groups=groups,
            window=window,
        )

    def _window(self, node: Any, attributes: Mapping[str, Any]) -> Window | None:
        """None for what is no plain convolution of images."""
        kernel = tuple(self._constants[node.input[1]].dims)[2:]
        if len(kernel) != 2 or attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
            return None
        top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
        strides, dilations = (attributes.get(name, (1, 1)) for name in ("strides", "dilations"))
        return Window(
            kernel=kernel,
            strides=tuple(strides),
            dilations=tuple(dilations),
            before=(top, left),
            after=(bottom, right),
        )

    def _attributes(self, node: Any) -> dict[str, Any]:
        helper = guest("onnx", extra="onnx").helper
        return {each.name: helper.get_attribute_value(each) for each in node.attribute}

    @staticmethod
    def _is_plain(attributes: Mapping[str, Any]) -> bool:
        """Whether a Gemm is a dense layer."""
        alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
        return alpha == beta == 1 and not attributes.get("transA", 0)

    def _kind(self, node: Any) -> Kind:
        nothing: tuple[int, ...] = ()
        before = self._shapes.get(node.input[0], nothing) if node.input else nothing
        after = self._shapes.get(node.output[0], nothing)
        same_channels = len(before) > 1 and before[1:2] == after[1:2]
        match node.op_type:
            case "Relu" | "LeakyRelu" | "AveragePool" | "GlobalAveragePool":
                return "scalable"
            case "Add" if self._sums(node):
                return "scalable"
            case "MaxPool":
                return "moving"
            case "ReduceMean" if same_channels and math.prod(after) == after[1]:
                return "scalable"
            case "Pad" if same_channels and self._pads_zeros(node):
                return "moving"
            case "Flatten" | "Reshape" | "Squeeze" if (
                same_channels and math.prod(before) == before[1]
            ):
                return "moving"
            case _:
                return "other"

    def _sums(self, node: Any) -> bool:
        """Whether an addition takes two computed tensors of one shape."""
        shapes = [self._shapes.get(name) for name in node.input]
        return None not in shapes and shapes[0] == shapes[1]

    def _pads_zeros(self, node: Any) -> bool:
        if self._attributes(node).get("mode", b"constant") != b"constant":
            return False
        if len(node.input) < 3 or not node.input[2]:
            return True
        value = self._constants.get(node.input[2])
        return value is not None and not self._numpy.to_array(value).any()


def _channels_last(values: Floats) -> Floats:
    return np.moveaxis(values, _CHANNEL_AXIS, -1) if values.ndim == 4 else values
