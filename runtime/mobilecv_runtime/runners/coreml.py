"""Runs Core ML files: in Apple's runtime on a Mac, and anywhere by mobilecv's own executor."""

from __future__ import annotations

import importlib.util
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from mobilecv_runtime.coreml.executor import CoremlExecutor
from mobilecv_runtime.coreml.image_input import ImageFeature
from mobilecv_runtime.coreml.lowering import Arithmetic
from mobilecv_runtime.coreml.model import CONTRACT_KEY, CoremlDescription, read_coreml
from mobilecv_runtime.coreml.schema import MINIMUM_IOS
from mobilecv_runtime.errors import BundleError, guest
from mobilecv_runtime.runners.base import ArtifactRunner, Signature, check_pixels
from mobilecv_runtime.spec import Contract, FloatArray, Labels, UInt8Array

PROGRAM_SUFFIX: Final = ".mlpackage"
"""Of ML Programs, which compute in float16 however their weights are stored."""
COREML_SUFFIXES: Final = (".mlmodel", PROGRAM_SUFFIX)
APPLE: Final = "Apple's Core ML"
EXECUTOR: Final = "mobilecv's executor of the Core ML specification, not Apple's runtime"


class _CoremlFile:
    """What a Core ML file says about itself, as a runner needs it."""

    def __init__(self, path: Path) -> None:
        description = read_coreml(path)
        image = description.image
        scores = description.probabilities or next(iter(description.outputs), None)
        if image is None or scores is None or not description.labels:
            raise BundleError(f"{path}: not a classifier with one image input")
        self.name = path.name
        self.image: ImageFeature = image
        self.scores: str = scores
        """The output with the dictionary of probabilities, or with the values of a regression."""
        self.labels: tuple[str, ...] = description.labels
        contract = description.metadata.get(CONTRACT_KEY)
        self.signature = _signature(path, description, image)
        self.contract = (
            Contract.from_json(json.loads(contract), Labels(self.labels)) if contract else None
        )

    def check(self, pixels: UInt8Array) -> None:
        check_pixels(pixels, self.signature.image_shape, self.name)


def _signature(path: Path, description: CoremlDescription, image: ImageFeature) -> Signature:
    version, need = description.specification_version, description.need
    if version < need.version:
        raise BundleError(
            f"{path}: specification version {version} does not have {need.what}, which came with "
            f"{need.version}; export it for {MINIMUM_IOS[need.version]} or later"
        )
    return Signature(
        image_shape=(image.height, image.width, image.channels),
        color=image.color_space,
        inputs=tuple(description.inputs),
        outputs=tuple(description.outputs),
        minimum_runtime=MINIMUM_IOS.get(version),
    )


class ExecutedCoremlRunner:
    """An `.mlmodel` or `.mlpackage` in mobilecv's executor, on any operating system."""

    engine = EXECUTOR

    def __init__(self, path: Path, *, threads: int = 1, arithmetic: Arithmetic = "stored") -> None:
        """Load the file; see `CoremlExecutor`.

        Raises:
            BundleError: If it is damaged, no image classifier, or not understood.
            MissingDependencyError: If onnx or onnxruntime is not installed.
        """
        self._file = _CoremlFile(path)
        self.label_names, self.contract = self._file.labels, self._file.contract
        self.signature = self._file.signature
        self._executor = CoremlExecutor(path, arithmetic=arithmetic, threads=threads)

    def scores(self, pixels: UInt8Array) -> FloatArray:
        """Answer a batch; see `Runner.scores`."""
        self._file.check(pixels)
        return self._executor.scores(pixels)


class AppleCoremlRunner:
    """An `.mlmodel` or `.mlpackage` in Apple's Core ML on the CPU, on a Mac."""

    engine = APPLE

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        """Load the file; Core ML chooses its own number of threads.

        Raises:
            MissingDependencyError: If coremltools is not installed.
            BundleError: If the file is damaged or no image classifier.
        """
        del threads
        self._file = _CoremlFile(path)
        self.label_names, self.contract = self._file.labels, self._file.contract
        self.signature = self._file.signature
        coremltools = guest("coremltools", extra="coreml")
        self._model: Any = coremltools.models.MLModel(
            str(path), compute_units=coremltools.ComputeUnit.CPU_ONLY
        )

    def scores(self, pixels: UInt8Array) -> FloatArray:
        """Answer a batch; see `Runner.scores`."""
        self._file.check(pixels)
        return np.stack([self._one(photo) for photo in pixels])

    def _one(self, photo: UInt8Array) -> FloatArray:
        picture = Image.fromarray(photo[..., 0] if self._file.image.channels == 1 else photo)
        answer = self._model.predict({self._file.image.name: picture})[self._file.scores]
        if not isinstance(answer, Mapping):  # A regression's values are an array.
            return np.asarray(answer, np.float32).reshape(-1)
        return np.asarray([answer[name] for name in self.label_names], np.float32)


def has_apple_runtime() -> bool:
    """Whether Apple's runtime can be called from here."""
    return platform.system() == "Darwin" and importlib.util.find_spec("coremltools") is not None


def open_coreml(path: Path, *, threads: int = 1) -> ArtifactRunner:
    """Load a file into Apple's runtime where it is there, else into mobilecv's executor."""
    runner = AppleCoremlRunner if has_apple_runtime() else ExecutedCoremlRunner
    return runner(path, threads=threads)
