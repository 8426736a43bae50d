"""mobilecv's Core ML executor against plain ONNX Runtime on the same network.

    python benchmarks/coreml_executor.py [--networks MobileNetV2,ResNet50] [--rounds 40]

Each network of `keras.applications`, with random weights, becomes an `.mlpackage` (ML Program,
float32), an `.mlmodel` (neural network) and an `.onnx` file. All three answer the same image on one
thread, in turns, so that a drifting machine hits all. Prints the medians, their ratios to plain
ONNX Runtime, and how long the executor takes to read and lower a file.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from mobilecv_runtime.coreml.executor import CoremlExecutor
from mobilecv_runtime.runners.onnx import OnnxRunner

SUFFIXES = (".mlpackage", ".mlmodel")


def convert(name: str, folder: str) -> None:
    """Write one network in three formats, in a process of its own."""
    import coremltools as ct
    import keras
    import tensorflow as tf
    import tf2onnx
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    model = getattr(keras.applications, name)(weights=None)
    shape = (1, *model.inputs[0].shape[1:])

    @tf.function(autograph=False)
    def scores(image: tf.Tensor) -> tf.Tensor:
        return model(image / 127.5 - 1, training=False)

    traced = scores.get_concrete_function(tf.TensorSpec(shape, tf.float32, "image"))
    frozen = convert_variables_to_constants_v2(traced)
    labels = [str(number) for number in range(model.outputs[0].shape[-1])]
    for suffix in SUFFIXES:
        options = {"compute_precision": ct.precision.FLOAT32} if suffix == ".mlpackage" else {}
        ct.convert(
            [frozen],
            source="tensorflow",
            inputs=[ct.ImageType(name="image", shape=shape)],
            classifier_config=ct.ClassifierConfig(labels),
            convert_to="mlprogram" if suffix == ".mlpackage" else "neuralnetwork",
            skip_model_load=True,
            **options,
        ).save(f"{folder}/{name}{suffix}")
    tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(),
        input_names=[frozen.inputs[0].name],
        output_names=[frozen.outputs[0].name],
        opset=17,
        output_path=f"{folder}/{name}.onnx",
    )


def measure(name: str, folder: Path, rounds: int) -> None:
    """Time the three files in turns, and print one line for each."""
    contenders = {".onnx": OnnxRunner(folder / f"{name}.onnx")}
    builds = {}
    for suffix in SUFFIXES:
        start = time.perf_counter()
        contenders[suffix] = CoremlExecutor(folder / f"{name}{suffix}")
        builds[suffix] = time.perf_counter() - start
    shape = contenders[".onnx"].signature.image_shape
    pixels = np.random.default_rng(0).integers(0, 256, (1, *shape), dtype=np.uint8)
    expected = contenders[".onnx"].scores(pixels)
    times: dict[str, list[float]] = {suffix: [] for suffix in contenders}
    for _ in range(rounds):
        for suffix, contender in contenders.items():
            start = time.perf_counter()
            contender.scores(pixels)
            times[suffix].append(time.perf_counter() - start)
    plain = median(times.pop(".onnx"))
    print(f"{name:<14} plain ONNX Runtime {1000 * plain:7.1f} ms")
    for suffix, taken in times.items():
        difference = np.abs(contenders[suffix].scores(pixels) - expected).max()
        print(
            f"{name:<14} executor {suffix:<11}{1000 * median(taken):6.1f} ms, "
            f"{median(taken) / plain:.2f} times plain; built in {builds[suffix]:.2f} s; "
            f"max |difference| {difference:.1e}"
        )


def main() -> None:
    """Convert and measure every network that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", default="MobileNetV2,ResNet50")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--convert", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.convert:
        convert(*arguments.convert)
        return
    for name in arguments.networks.split(","):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--convert", name, folder]
            subprocess.run(command, check=True, capture_output=True)
            measure(name, Path(folder), arguments.rounds)


if __name__ == "__main__":
    main()
