"""Executes a Core ML classifier on any operating system, from the file itself.

This is mobilecv's reading of the Core ML specification, run by ONNX Runtime; it is not Apple's
runtime. What it does not understand it refuses.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mobilecv_runtime.coreml.lowering import PIXELS, SCORES, Arithmetic, Lowered, UnsupportedError
from mobilecv_runtime.coreml.ml_program import lower_ml_program
from mobilecv_runtime.coreml.model import open_specification, specification_file
from mobilecv_runtime.coreml.neural_network import lower_neural_network
from mobilecv_runtime.errors import BundleError
from mobilecv_runtime.onnx_session import open_session
from mobilecv_runtime.spec import FloatArray, UInt8Array


class CoremlExecutor:
    """An `.mlmodel` or `.mlpackage`, lowered and ready to run, one image at a time."""

    def __init__(self, path: Path, *, arithmetic: Arithmetic = "stored", threads: int = 1) -> None:
        """Read and lower a file.

        Args:
            path: An `.mlmodel` file or an `.mlpackage` folder.
            arithmetic: float32 on the stored weights, or an estimate of a device's float16.
            threads: How many threads one inference may use.

        Raises:
            BundleError: If it is damaged, or holds anything that is not understood.
            MissingDependencyError: If onnx or onnxruntime is not installed.
        """
        lowered = lower(path, arithmetic)
        self._path = path
        self.labels = lowered.labels
        """The labels in the order of the scores."""
        try:
            self._session = open_session(lowered.onnx, threads=threads)
        except BundleError as error:
            raise BundleError(f"{path}: its shapes do not fit together ({error})") from error

    def scores(self, pixels: UInt8Array) -> FloatArray:
        """Answer a batch.

        Args:
            pixels: (count, height, width, channels), uint8, RGB or gray, of the model's size.

        Returns:
            (count, labels), float32.

        Raises:
            BundleError: If the file asks for something impossible.
        """
        return np.concatenate([self._one(image[None]) for image in pixels])

    def _one(self, image: UInt8Array) -> FloatArray:
        try:
            (scores,) = self._session.run([SCORES], {PIXELS: image})
        # Such as an index outside of its array, which only the values show.
        except Exception as error:
            lines = str(error).strip().splitlines()
            raise BundleError(f"{self._path}: cannot be executed ({lines[0]})") from error
        return np.asarray(scores, np.float32)


def lower(path: Path, arithmetic: Arithmetic) -> Lowered:
    """Lower a Core ML file to an ONNX model.

    Raises:
        BundleError: If it is damaged, or holds anything that is not understood.
    """
    model = open_specification(path)
    try:
        if model.has("mlProgram"):
            weights = specification_file(path).parent / "weights"
            return lower_ml_program(model, weights, arithmetic)
        return lower_neural_network(model, arithmetic)
    except UnsupportedError as error:
        raise UnsupportedError(f"{path}: {error}") from error
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from error
