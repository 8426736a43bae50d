"""Plants one fault in a Core ML file: `python spoil_coreml.py FILE FAULT ...`.

Each fault gives a copy `FAULT/FILE`. The file is edited through coremltools' own protobufs, in a
process of its own, since coremltools is slow to import and warns a lot.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from coremltools.proto import FeatureTypes_pb2, MIL_pb2, Model_pb2

Spec = Any


def swap_colours(spec: Spec) -> None:
    image = spec.description.input[0].type.imageType
    image.colorSpace = FeatureTypes_pb2.ImageFeatureType.ColorSpace.Value("BGR")


def edit_labels(spec: Spec, edit: Callable[[list[str]], list[str]]) -> None:
    if spec.HasField("neuralNetworkClassifier"):
        vector = spec.neuralNetworkClassifier.stringClassLabels.vector
        names = edit(list(vector))
        del vector[:]
        vector.extend(names)
        return
    (classify,) = [op for op in operations(spec) if op.type == "classify"]
    values = classify.inputs["classes"].arguments[0].value.immediateValue.list.values
    words = [value.immediateValue.tensor.strings.values for value in values]
    for word, name in zip(words, edit([word[0] for word in words]), strict=True):
        word[0] = name


def sort_labels(spec: Spec) -> None:
    edit_labels(spec, sorted)


def shift_labels(spec: Spec) -> None:
    edit_labels(spec, lambda names: [*names[1:], names[0]])


def normalise(spec: Spec, scale: float, bias: float) -> None:
    """Change `pixel * 1/127.5 - 1` to `pixel * scale/127.5 + bias`."""
    if spec.HasField("neuralNetworkClassifier"):
        scaler = spec.neuralNetworkClassifier.preprocessing[0].scaler
        scaler.channelScale *= scale
        scaler.redBias = scaler.greenBias = scaler.blueBias = bias
        return
    first = {op.type: op for op in reversed(operations(spec)) if op.type in ("mul", "add")}
    set_constant(spec, first["mul"], scale / 127.5)
    set_constant(spec, first["add"], bias)


def set_constant(spec: Spec, operation: Any, value: float) -> None:
    name = operation.inputs["y"].arguments[0].name
    (constant,) = [op for op in operations(spec) if name in [out.name for out in op.outputs]]
    tensor = constant.attributes["val"].immediateValue.tensor
    if tensor.HasField("bytes"):
        count = len(tensor.bytes.values) // 2
        tensor.bytes.values = np.full(count, value, np.float16).tobytes()
    else:
        tensor.floats.values[:] = [value] * len(tensor.floats.values)


def operations(spec: Spec) -> Any:
    function = spec.mlProgram.functions["main"]
    return function.block_specializations[function.opset].operations


def lose_softmax(spec: Spec) -> None:
    if spec.HasField("neuralNetworkClassifier"):
        layers = spec.neuralNetworkClassifier.layers
        (layer,) = [each for each in layers if each.WhichOneof("layer") == "softmaxND"]
        layer.ClearField("softmaxND")
        layer.copy.SetInParent()
        return
    (softmax,) = [op for op in operations(spec) if op.type == "softmax"]
    softmax.type = "identity"
    del softmax.inputs["axis"]


def double_softmax(spec: Spec) -> None:
    if spec.HasField("neuralNetworkClassifier"):
        layers = spec.neuralNetworkClassifier.layers
        (layer,) = [each for each in layers if each.WhichOneof("layer") == "softmaxND"]
        again = type(layer)()
        again.CopyFrom(layer)
        layer.output[0], again.input[0], again.name = "once", "once", "again"
        layers.append(again)
        return
    ops = operations(spec)
    at, softmax = next((at, op) for at, op in enumerate(ops) if op.type == "softmax")
    again = type(softmax)()
    again.CopyFrom(softmax)
    softmax.outputs[0].name = "once"
    again.inputs["x"].arguments[0].name = "once"
    ops.insert(at + 1, again)


def transpose_size(spec: Spec) -> None:
    image = spec.description.input[0].type.imageType
    image.height, image.width = image.width, image.height


def transpose_picture(spec: Spec) -> None:
    """Exchange rows and columns before the network looks at the image."""
    name = spec.description.input[0].name
    if spec.HasField("neuralNetworkClassifier"):
        layers = spec.neuralNetworkClassifier.layers
        for layer in layers:
            layer.input[:] = ["transposed" if value == name else value for value in layer.input]
        added = layers.add(name="transpose", input=[name], output=["transposed"])
        added.transpose.axes.extend([0, 1, 3, 2])
        layers.insert(0, layers.pop())
        return
    for operation in operations(spec):
        for argument in operation.inputs.values():
            for binding in argument.arguments:
                binding.name = "transposed" if binding.name == name else binding.name
    operations(spec).insert(0, transposition(spec, name))


def transposition(spec: Spec, name: str) -> Any:
    """`transposed = transpose(x=name, perm=[0, 1, 3, 2])` as an operation of an ML Program."""
    function = spec.mlProgram.functions["main"]
    (declared,) = [each for each in function.inputs if each.name == name]
    operation = MIL_pb2.Operation(type="transpose")
    operation.inputs["x"].arguments.add().name = name
    axes = operation.inputs["perm"].arguments.add().value
    axes.type.tensorType.dataType = MIL_pb2.INT32
    axes.type.tensorType.rank = 1
    axes.type.tensorType.dimensions.add().constant.size = 4
    axes.immediateValue.tensor.ints.values.extend([0, 1, 3, 2])
    output = operation.outputs.add(name="transposed")
    output.type.CopyFrom(declared.type)
    return operation


def change_weight(spec: Spec) -> None:
    layers = spec.neuralNetworkClassifier.layers
    first = next(layer for layer in layers if layer.WhichOneof("layer") == "convolution")
    first.convolution.weights.floatValue[0] += 1


FAULTS: dict[str, Callable[[Spec], None]] = {
    "swapped colours": swap_colours,
    "no normalisation": lambda spec: normalise(spec, 127.5, 0),
    "half the scale": lambda spec: normalise(spec, 0.5, -1),
    "doubled normalisation": lambda spec: normalise(spec, 1 / 127.5, -1 - 1 / 127.5),
    "wrong sign of the bias": lambda spec: normalise(spec, 1, 1),
    "averaged std": lambda spec: normalise(spec, 1.05, -1.05),
    "sorted labels": sort_labels,
    "shifted labels": shift_labels,
    "no softmax": lose_softmax,
    "double softmax": double_softmax,
    "transposed picture": transpose_picture,
    "transposed size": transpose_size,
    "nothing": lambda _: None,
}
NETWORK_FAULTS: dict[str, Callable[[Spec], None]] = {"changed weight": change_weight}
"""Those of an `.mlmodel` only: an ML Program keeps its weights in a file of their own."""


def main(file: Path, output: Path) -> None:
    """Write one copy of the file for every fault."""
    inner = "Data/com.apple.CoreML/model.mlmodel" if file.is_dir() else ""
    faults = FAULTS if file.is_dir() else FAULTS | NETWORK_FAULTS
    for name, spoil in faults.items():
        spec = Model_pb2.Model()
        spec.ParseFromString((file / inner).read_bytes())
        spoil(spec)
        copy = output / name / file.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if file.is_dir() else shutil.copy)(file, copy)
        (copy / inner).write_bytes(spec.SerializeToString())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
