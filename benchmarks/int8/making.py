"""Makes every file of one network: mobilecv's own from the command line, and the others'."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.int8.networks import NETWORKS, Network
from benchmarks.int8.photos import Halves
from benchmarks.int8.rivals import Rivals
from mobilecv.photosets import calibration_set
from mobilecv.sources.trust import STATE_VARIABLE
from mobilecv_runtime.bundle import Bundle
from mobilecv_runtime.child import Child
from mobilecv_runtime.errors import EXIT_AGREES, EXIT_PARITY_FAILED, MobileCVError, UsageError

CALIBRATION_PHOTOS: Final = 200
TFLITE: Final = "mobilecv tflite"
TFLITE_INT8: Final = "mobilecv tflite-int8"
ONNX: Final = "mobilecv onnx"
ONNX_INT8: Final = "mobilecv onnx-int8"
AUTHORS: Final = "its authors' integer file"
_NO_RESCUE: Final = " --no-rescue"
_TARGETS: Final = ("tflite", "tflite-int8", "onnx", "onnx-int8")


@dataclass(frozen=True, kw_only=True)
class Made:
    """One file of a network, or why there is none."""

    name: str
    """Who made it."""
    path: Path | None
    float_twin: str | None
    """The name of the float file that its size is held against; None for a float file."""
    remark: str = ""
    """What was done to rescue it, or why it is not there."""
    seconds: float | None = None
    """Of the conversion."""
    peak_memory: int | None = None
    """Of the converting process up to then, in bytes."""


@dataclass(frozen=True, kw_only=True)
class Files:
    """Everything that was made of a network."""

    source: Path
    bundle: Bundle
    files: tuple[Made, ...]


def make(network: Network, data: Path, halves: Halves, folder: Path) -> Files:
    """Export a network, and quantise it with the other tools.

    Args:
        network: Which one.
        data: The folder of models and photos.
        halves: Its photos.
        folder: Where the files go.

    Raises:
        MobileCVError: If a file is not there, or mobilecv's own export fails.
    """
    for name in filter(None, (network.file, network.authors)):
        if not (data / name).is_file():
            raise UsageError(f"{data / name}: no such file; --data names the folder that holds it")
    source = _source(network, data, folder)
    labels = folder / "labels.txt"
    labels.write_bytes(halves.labels.to_bytes())
    command = [source, "--labels", labels, "--calibration", halves.calibration, *network.options]
    bundle, files = _export(command, folder / "bundle", ())
    rescued = tuple(each.id for each in bundle.manifest.artifacts if each.rescue)
    if rescued:
        _, plain = _export(command, folder / "plain", rescued)
        by_twin = {made.name.removesuffix(_NO_RESCUE): made for made in plain}
        files = [row for made in files for row in (made, by_twin.get(made.name)) if row]
    files.extend(_rivals(source, bundle, halves, folder))
    if network.authors:
        path = data / network.authors
        files.append(Made(name=AUTHORS, path=path, float_twin=TFLITE))
    return Files(source=source, bundle=bundle, files=tuple(files))


def _source(network: Network, data: Path, folder: Path) -> Path:
    file = data / network.file
    if network.build is None:
        return file
    source = folder / f"{network.name}.keras"
    with Child(_Builder, network.name, log=folder / "build.log") as child:
        child.call("build", file, source)
    return source


class _Builder:
    """Builds a Keras model, in a process of its own."""

    def __init__(self, name: str) -> None:
        self._build = NETWORKS[name].build

    def build(self, file: Path, source: Path) -> None:
        assert self._build is not None
        self._build(file, source)


def _export(command: list[Any], output: Path, plain: tuple[str, ...]) -> tuple[Bundle, list[Made]]:
    """Export from the command line.

    Args:
        command: Source and options.
        output: The bundle.
        plain: Targets to make without rescue; if there are none, all targets, with it.
    """
    targets = plain or _TARGETS
    call = [sys.executable, "-m", "mobilecv", "export", *command, "--to", ",".join(targets)]
    call += ["--calibration-images", str(CALIBRATION_PHOTOS), "-o", output, "--json"]
    call += ["--no-rescue"] if plain else []
    done = subprocess.run(
        list(map(str, call)),
        capture_output=True,
        text=True,
        check=False,
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            STATE_VARIABLE: str(output.with_name("state")),
        },
    )
    # An int8 file that no rescue could mend is measured like all others.
    if done.returncode not in (EXIT_AGREES, EXIT_PARITY_FAILED):
        raise MobileCVError(f"the export failed: {done.stderr.strip()[-1000:]}")
    report = json.loads(done.stdout)
    bundle = Bundle.open(output)
    made = [
        Made(
            name=f"mobilecv {entry.id}{_NO_RESCUE if plain else ''}",
            path=bundle.file(entry),
            float_twin=f"mobilecv {entry.id.partition('-')[0]}" if "-" in entry.id else None,
            remark=_remark(entry.id, entry.rescue, plain),
            seconds=report["seconds"][entry.id],
            peak_memory=report["peak_memory_bytes"][entry.id],
        )
        for entry in bundle.manifest.artifacts
        if entry.id in targets
    ]
    return bundle, made


def _remark(target: str, rescue: Any, plain: tuple[str, ...]) -> str:
    if plain or not target.endswith("int8"):
        return ""
    return str(rescue["summary"]) if rescue else "needed no rescue"


def _rivals(source: Path, bundle: Bundle, halves: Halves, folder: Path) -> Iterator[Made]:
    contract = bundle.contract
    found = calibration_set(halves.calibration, contract, CALIBRATION_PHOTOS)
    kept = bundle.manifest.calibration
    if kept is None or kept.sha256 != found.sha256:
        raise MobileCVError(f"{bundle.path}: calibrated on other photos than its rivals would be")
    photos = folder / "calibration.npy"
    np.save(photos, found.pixels)
    float_tflite = bundle.file(bundle.artifact("tflite"))
    float_onnx = bundle.file(bundle.artifact("onnx"))
    converter = (source, contract.preprocessing)
    for name, twin, method, arguments, suffix in (
        ("TFLiteConverter", TFLITE, "tflite_converter", converter, ".tflite"),
        ("ai-edge-quantizer", TFLITE, "ai_edge_quantizer", (float_tflite,), ".tflite"),
        ("onnxruntime", ONNX, "onnxruntime", (float_onnx,), ".onnx"),
        ("onnxruntime per_channel", ONNX, "onnxruntime_per_channel", (float_onnx,), ".onnx"),
    ):
        output = folder / f"{name}{suffix}"
        started = time.perf_counter()
        try:
            with Child(Rivals, photos, log=folder / f"{name}.log") as child:
                child.call(method, *arguments, output)
                memory = child.peak_memory
        except MobileCVError as error:
            yield Made(name=name, path=None, float_twin=twin, remark=str(error))
            continue
        seconds = time.perf_counter() - started
        yield Made(name=name, path=output, float_twin=twin, seconds=seconds, peak_memory=memory)
