"""Would more calibration photos still move the value ranges?

Half of the photos and all of them give two ranges for every tensor of the network. Where they are
the same, the sample has shown what there is; where they still differ, more photos would help.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mobilecv_runtime.errors import ConversionError, guest
from mobilecv_runtime.spec import UInt8Array

_SPLITS: Final = 8
_MOVING: Final = 0.06
"""Of the median over the tensors. On the MLPerf Tiny ResNet8 (CIFAR-10 photos) and person detector
(ImageNet photos) it was 6.5 and 8.1 % with 8 photos, 4.5 and 6.8 % with 32, 4.2 and 4.7 % with 200.
The worst tensor is no measure: it rests on a single photo, and stayed at 11 and 22 % with 200."""


@dataclass(frozen=True, kw_only=True)
class Extremes:
    """The smallest and the largest value of every tensor on every photo."""

    names: tuple[str, ...]
    low: NDArray[np.float32]
    """(photos, tensors)."""
    high: NDArray[np.float32]
    """(photos, tensors)."""


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """How far ranges moved between half of the photos and all of them, as shares of the latter."""

    images: int
    median: float
    """Over the tensors."""
    worst: float
    worst_tensor: str

    @property
    def note(self) -> str | None:
        """What to do, if more photos would still change the ranges."""
        if self.median <= _MOVING:
            return None
        return (
            f"calibration: {self.images} photos are too few for steady ranges: half of them give "
            f"ranges that are {self.median:.0%} smaller (median over the tensors; "
            f"{self.worst:.0%} in {self.worst_tensor}); give more with --calibration-images"
        )

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return asdict(self)


def coverage(extremes: Extremes) -> Coverage | None:
    """Compare the ranges on halves of the photos with those on all.

    The mean over both halves of several seeded splits: in one split alone, the one photo with the
    extreme lies in the half that is looked at, or it does not.

    Returns:
        None for fewer than two photos, or if no tensor takes two values.
    """
    images = len(extremes.low)
    if images < 2:
        return None
    whole = extremes.high.max(axis=0) - extremes.low.min(axis=0)
    used = whole > 0
    if not used.any():
        return None
    random = np.random.default_rng(0)
    orders = [random.permutation(images) for _ in range(_SPLITS)]
    halves = [half for order in orders for half in np.array_split(order, 2)]
    ranges = [extremes.high[half].max(axis=0) - extremes.low[half].min(axis=0) for half in halves]
    moved = 1 - np.mean(ranges, axis=0)[used] / whole[used]
    return Coverage(
        images=images,
        median=float(np.median(moved)),
        worst=float(moved.max()),
        worst_tensor=str(np.array(extremes.names)[used][moved.argmax()]),
    )


class CoverageMeter:
    """Lives in a worker process and runs the float network there."""

    def measure(self, model: Path, photos: Path) -> Coverage | None:
        """The coverage of calibration photos on a float artifact.

        Args:
            model: A float `.tflite` or `.onnx` file with raw pixels as its input.
            photos: An `.npy` file, (count, height, width, channels), uint8.
        """
        pixels = np.load(photos, mmap_mode="r")
        observe = tflite_extremes if model.suffix == ".tflite" else onnx_extremes
        return coverage(observe(model, pixels))


def tflite_extremes(model: Path, pixels: UInt8Array) -> Extremes:
    """The extremes of every float tensor of a float `.tflite` model."""
    litert = guest("ai_edge_litert.interpreter", extra="tflite")
    interpreter = litert.Interpreter(
        model_path=str(model),
        experimental_preserve_all_tensors=True,
        # XNNPACK would hide the tensors between the operations that it fuses.
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    (image,) = interpreter.get_input_details()
    made = {int(index) for op in interpreter._get_ops_details() for index in op["outputs"]}
    tensors = [
        tensor
        for tensor in interpreter.get_tensor_details()
        if tensor["index"] in made and tensor["dtype"] == np.float32
    ]
    ranges = np.zeros((len(pixels), len(tensors), 2), np.float32)
    for number, photo in enumerate(pixels):
        interpreter.set_tensor(image["index"], photo[None].astype(np.float32))
        interpreter.invoke()
        for column, tensor in enumerate(tensors):
            values = interpreter.get_tensor(tensor["index"])
            ranges[number, column] = values.min(), values.max()
    names = tuple(str(tensor["name"]) for tensor in tensors)
    return Extremes(names=names, low=ranges[..., 0], high=ranges[..., 1])


def onnx_extremes(model: Path, pixels: UInt8Array) -> Extremes:
    """The extremes of every float tensor of a float `.onnx` model."""
    onnx = guest("onnx", extra="onnx")
    runtime = guest("onnxruntime", extra="onnx")
    loaded = onnx.load(str(model))
    made = [name for node in loaded.graph.node for name in node.output if name]
    del loaded.graph.output[:]
    loaded.graph.output.extend(onnx.ValueInfoProto(name=name) for name in made)
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    # Fusing would remove the tensors that are asked for.
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = runtime.InferenceSession(
            loaded.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    # onnxruntime's errors share no base class but Exception.
    except Exception as error:
        raise ConversionError(f"onnxruntime, for the value ranges: {error}") from error
    kept = [value.name for value in session.get_outputs() if value.type == "tensor(float)"]
    image = session.get_inputs()[0].name
    ranges = np.array(
        [
            [(values.min(), values.max()) for values in session.run(kept, {image: photo[None]})]
            for photo in pixels
        ],
        np.float32,
    )
    return Extremes(names=tuple(kept), low=ranges[..., 0], high=ranges[..., 1])
