"""Runs Core ML files in Apple's runtime, on a Mac."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mobilecv_runtime.coreml.model import CONTRACT_KEY, read_coreml
from mobilecv_runtime.errors import BundleError, guest
from mobilecv_runtime.runners.base import EngineUnavailableError, check_pixels
from mobilecv_runtime.spec import Contract, FloatArray, Labels, UInt8Array


class CoremlRunner:
    """An `.mlmodel` or `.mlpackage` in Apple's Core ML, one image at a time."""

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        """Load the file; Core ML chooses its own number of threads.

        Raises:
            EngineUnavailableError: On any other system than macOS.
            MissingDependencyError: If coremltools is not installed.
            BundleError: If the file is damaged or no image classifier.
        """
        del threads
        description = read_coreml(path)
        image, probabilities = description.image, description.probabilities
        if image is None or probabilities is None or not description.labels:
            raise BundleError(f"{path}: not a classifier with one image input")
        self.label_names = description.labels
        contract = description.metadata.get(CONTRACT_KEY)
        self.contract = (
            Contract.from_json(json.loads(contract), Labels(description.labels))
            if contract
            else None
        )
        if platform.system() != "Darwin":
            raise EngineUnavailableError(
                "Core ML runs on macOS only; its labels and metadata were read, "
                "its numbers were not checked here"
            )
        coremltools = guest("coremltools", extra="coreml")
        self._file, self._image, self._probabilities = path.name, image, probabilities
        self._model: Any = coremltools.models.MLModel(
            str(path), compute_units=coremltools.ComputeUnit.CPU_ONLY
        )

    def scores(self, pixels: UInt8Array) -> FloatArray:
        """Answer a batch; see `Runner.scores`."""
        image = self._image
        check_pixels(pixels, (image.height, image.width, image.channels), self._file)
        return np.stack([self._one(photo) for photo in pixels])

    def _one(self, photo: UInt8Array) -> FloatArray:
        picture = Image.fromarray(photo[..., 0] if self._image.channels == 1 else photo)
        answer = self._model.predict({self._image.name: picture})[self._probabilities]
        return np.asarray([answer[name] for name in self.label_names], np.float32)
