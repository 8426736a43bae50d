"""mobilecv's conversions against the bare converters, called directly in one process each.

    python benchmarks/export_against_converters.py [MODEL.h5] [--calibration DIR] [--targets LIST]

Prints wall time and peak memory of both sides for every target, and their ratios. The bare side
starts, loads the model, converts it with the converter's default call and saves, as a user without
mobilecv would: no labels, no preprocessing, no check. Of mobilecv it is the conversion: the start
of its worker process, and the float file first where a target is made from one. The whole export,
which also opens the source in a process of its own, freezes it and checks every file, stands in a
column of its own. The two sides take turns, so that a drifting machine hits both.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mobilecv.targets import TARGETS as REGISTRY

ROOT = Path(__file__).parent.parent
TARGETS = (
    "coreml", "mlpackage", "mlpackage-int8", "tflite", "tflite-fp16", "tflite-dynamic",
    "tflite-int8", "onnx", "onnx-fp16", "onnx-int8",
)  # fmt: skip
COUNT = 200


def convert_directly(target: str, model_path: str, photos: Path, output: str) -> None:
    """One converter, called as its own documentation does."""
    import keras
    import tensorflow as tf

    model = keras.models.load_model(model_path, compile=False)
    shape = model.inputs[0].shape[1:]
    pixels = np.load(photos).astype(np.float32)
    function = tf.function(lambda image: model(image, training=False), autograph=False)

    def traced(batch: int | None) -> object:
        return function.get_concrete_function(tf.TensorSpec((batch, *shape), tf.float32))

    def onnx_model(path: str) -> str:
        import tf2onnx

        signature = (tf.TensorSpec((None, *shape), tf.float32, name="image"),)
        tf2onnx.convert.from_function(function, signature, opset=17, output_path=path)
        return path

    if target in ("coreml", "mlpackage", "mlpackage-int8"):
        import coremltools as ct
        import coremltools.optimize.coreml as compression

        backend = "neuralnetwork" if target == "coreml" else "mlprogram"
        converted = ct.convert([traced(1)], source="tensorflow", convert_to=backend)
        if target == "mlpackage-int8":
            kind = compression.OpLinearQuantizerConfig(mode="linear_symmetric")
            config = compression.OptimizationConfig(global_config=kind)
            converted = compression.linear_quantize_weights(converted, config)
        converted.save(f"{output}.{'mlmodel' if target == 'coreml' else 'mlpackage'}")
    elif target.startswith("tflite"):
        holder = tf.Module()
        holder.variables_ = [variable.value for variable in model.variables]
        converter = tf.lite.TFLiteConverter.from_concrete_functions([traced(1)], holder)
        if target != "tflite":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if target == "tflite-fp16":
            converter.target_spec.supported_types = [tf.float16]
        if target == "tflite-int8":
            converter.representative_dataset = lambda: ([image[None]] for image in pixels)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        Path(output).write_bytes(converter.convert())
    elif target == "onnx":
        onnx_model(output)
    elif target == "onnx-fp16":
        import onnx
        from onnxruntime.transformers.float16 import convert_float_to_float16

        onnx.save(
            convert_float_to_float16(onnx.load(onnx_model(output)), keep_io_types=True), output
        )
    else:
        from onnxruntime.quantization import CalibrationDataReader, quantize_static

        class Reader(CalibrationDataReader):
            def __init__(self) -> None:
                self.feeds = iter({"image": image[None]} for image in pixels)

            def get_next(self) -> dict[str, np.ndarray] | None:
                return next(self.feeds, None)

        quantize_static(onnx_model(f"{output}.float"), output, Reader(), per_channel=True)


def timed(command: list[object]) -> tuple[float, float]:
    """Wall seconds, and peak MB of the largest process among it and its children."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__)), "--measured", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    out, err = process.communicate()
    seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{command} failed:\n{err[-3000:]}")
    return seconds, float(out.splitlines()[-1])


def exported(command: list[object], output: Path) -> tuple[float, float, float]:
    """Seconds of the conversions, their peak MB, and seconds of the whole export."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "mobilecv", "export", *map(str, command), "-o", output, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    report = json.loads(done.stdout) if done.stdout.strip() else {}
    # One that differs from its source was converted all the same.
    if not report or report["failures"]:
        raise SystemExit(f"{command} failed:\n{done.stderr[-3000:]}")
    peak = max(report["peak_memory_bytes"].values()) / 1e6
    return sum(report["seconds"].values()), peak, seconds


def run_measured(command: list[str]) -> None:
    """Run a command and print the peak memory (MB) of its largest process."""
    import resource

    done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(peak / (1e6 if sys.platform == "darwin" else 1e3))
    raise SystemExit(done.returncode)


def main() -> None:
    """Measure both sides in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default=str(ROOT / "models" / "digits.h5"))
    parser.add_argument("--calibration", type=Path)
    parser.add_argument("--preset", default="tf")
    parser.add_argument("--targets", type=lambda text: text.split(","), default=TARGETS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        calibration = options.calibration
        if calibration is None:
            script = ROOT / "models" / "digits_images.py"
            subprocess.run([sys.executable, script, work / "photos"], check=True)
            calibration = work / "photos" / "calibration"
        pixels = _prepared(options.model, calibration)
        np.save(work / "photos.npy", pixels)
        rows = []
        for target in options.targets:
            direct = ["--direct", target, options.model, work / "photos.npy", work / "bare"]
            bare, bare_peak = timed([sys.executable, __file__, *direct])
            base = REGISTRY[target].starts_from
            ours = [options.model, "--to", f"{base},{target}" if base else target]
            ours += ["--preset", options.preset, "--calibration", calibration]
            seconds, peak, whole = exported(ours, work / "bundle")
            shutil.rmtree(work / "bundle")
            rows.append(
                f"| {target} | {bare:.1f} | {seconds:.1f} | {seconds / bare:.2f} | {whole:.1f} "
                f"| {bare_peak:.0f} | {peak:.0f} | {peak / bare_peak:.2f} |"
            )
            print(f"{target}: {seconds:.1f} s, bare {bare:.1f} s", file=sys.stderr, flush=True)
    print(
        "| target | bare s | mobilecv s | ratio | whole export s | bare peak MB | mobilecv peak MB "
        "| ratio |\n|---|--:|--:|--:|--:|--:|--:|--:|"
    )
    print("\n".join(rows))


def _prepared(model: str, folder: Path) -> np.ndarray:
    from mobilecv.sources.keras.inspection import inspect_keras
    from mobilecv_runtime.photos import PhotoFolder, PreparedPhotos
    from mobilecv_runtime.spec import ImageInput, Labels

    size = [int(part) for part in inspect_keras(Path(model)).inputs[0].type.split("x")[1:]]
    image = ImageInput(height=size[0], width=size[1], channels=size[2])
    found = PhotoFolder.find(folder, Labels(("none",))).sample(COUNT)
    return np.concatenate([pixels for _, pixels in PreparedPhotos(found.photos, image).batches()])


if __name__ == "__main__":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    if sys.argv[1:2] == ["--measured"]:
        run_measured(sys.argv[2:])
    elif sys.argv[1:2] == ["--direct"]:
        convert_directly(sys.argv[2], sys.argv[3], Path(sys.argv[4]), sys.argv[5])
    else:
        main()
