"""Runs `.onnx` files in ONNX Runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from mobilecv_runtime.errors import BundleError
from mobilecv_runtime.onnx_session import open_session
from mobilecv_runtime.runners.base import Signature, check_pixels
from mobilecv_runtime.spec import Contract, FloatArray, Labels, UInt8Array

LABELS_KEY = "labels"
CONTRACT_KEY = "mobilecv"


class OnnxRunner:
    """An `.onnx` file in ONNX Runtime on the CPU."""

    engine = "ONNX Runtime"

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        """Load the file.

        Raises:
            MissingDependencyError: If onnxruntime is not installed.
            BundleError: If ONNX Runtime cannot load the file, or it is no image classifier.
        """
        try:
            self._session = open_session(str(path), threads=threads)
        except BundleError as error:
            raise BundleError(f"{path}: ONNX Runtime cannot load it ({error})") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0].shape) != 4:
            raise BundleError(f"{path}: not one image in and one row of scores out")
        self._input, self._file = inputs[0], path.name
        self._dtype = np.float32 if inputs[0].type == "tensor(float)" else np.uint8
        metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.label_names, self.contract = _read_metadata(metadata)
        height, width, channels = inputs[0].shape[1:]
        self.signature = Signature(
            image_shape=(height, width, channels),
            color=None,
            inputs=(inputs[0].name,),
            outputs=(outputs[0].name,),
            minimum_runtime=None,
        )

    def scores(self, pixels: UInt8Array) -> FloatArray:
        """Answer a batch; see `Runner.scores`."""
        check_pixels(pixels, tuple(self._input.shape[1:]), self._file)
        fixed = isinstance(self._input.shape[0], int)
        batches = np.split(pixels, len(pixels)) if fixed else [pixels]
        return np.concatenate([self._answer(batch) for batch in batches])

    def _answer(self, pixels: UInt8Array) -> FloatArray:
        feed: Any = {self._input.name: pixels.astype(self._dtype, copy=False)}
        return np.asarray(self._session.run(None, feed)[0], np.float32)


def _read_metadata(metadata: dict[str, str]) -> tuple[tuple[str, ...] | None, Contract | None]:
    if LABELS_KEY not in metadata:
        return None, None
    names = tuple(str(name) for name in json.loads(metadata[LABELS_KEY]))
    if CONTRACT_KEY not in metadata:
        return names, None
    return names, Contract.from_json(json.loads(metadata[CONTRACT_KEY]), Labels(names))
