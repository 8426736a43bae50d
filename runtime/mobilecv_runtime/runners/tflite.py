"""Runs `.tflite` files in LiteRT."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mobilecv_runtime.errors import BundleError, guest
from mobilecv_runtime.runners.base import Signature, check_pixels
from mobilecv_runtime.spec import Contract, FloatArray, Labels, UInt8Array

LABELS_FILE = "labels.txt"
CONTRACT_FILE = "mobilecv.json"


class TfliteRunner:
    """A `.tflite` file in LiteRT with XNNPACK on the CPU, one image at a time."""

    engine = "LiteRT"

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        """Load the file.

        Raises:
            MissingDependencyError: If ai-edge-litert is not installed.
            BundleError: If LiteRT cannot load the file, or it is no image classifier.
        """
        interpreter = guest("ai_edge_litert.interpreter", extra="tflite").Interpreter
        labels = associated_file(path, LABELS_FILE)
        contract = associated_file(path, CONTRACT_FILE)
        self.label_names = (
            Labels.parse(labels, origin=f"{path}: {LABELS_FILE}").names if labels else None
        )
        self.contract = (
            Contract.from_json(json.loads(contract), Labels(self.label_names))
            if contract and self.label_names
            else None
        )
        self._file = path.name
        try:
            with _without_chatter():
                self._interpreter = interpreter(model_path=str(path), num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise BundleError(f"{path}: LiteRT cannot load it ({error})") from error
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0]["shape"]) != 4:
            raise BundleError(f"{path}: not one image in and one row of scores out")
        self._input, self._output = inputs[0], outputs[0]
        height, width, channels = (int(size) for size in self._input["shape"][1:])
        self.signature = Signature(
            image_shape=(height, width, channels),
            color=None,
            inputs=self._names("inputs", self._input),
            outputs=self._names("outputs", self._output),
            minimum_runtime=None,
        )

    def scores(self, pixels: UInt8Array) -> FloatArray:
        """Answer a batch; see `Runner.scores`."""
        check_pixels(pixels, self.signature.image_shape, self._file)
        return np.stack([self._one(image[None]) for image in self._quantized(pixels)])

    def _names(self, side: Literal["inputs", "outputs"], tensor: Any) -> tuple[str, ...]:
        """What an app calls a tensor: its name in the signature, or its own if there is none."""
        signatures = self._interpreter.get_signature_list()
        named = [name for signature in signatures.values() for name in signature[side]]
        return tuple(named) or (str(tensor["name"]),)

    def _quantized(self, pixels: UInt8Array) -> NDArray[Any]:
        """Pixels in the input's own type: `q = round(pixel / scale) + zero_point`."""
        dtype = np.dtype(self._input["dtype"])
        scale, zero_point = self._input["quantization"]
        if dtype == np.float32 or (scale in (0, 1) and zero_point == 0):
            return pixels.astype(dtype, copy=False)
        limits = np.iinfo(dtype)
        steps = np.round(pixels.astype(np.float64) / scale) + zero_point
        quantized: NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(dtype)
        return quantized

    def _one(self, image: NDArray[Any]) -> FloatArray:
        self._interpreter.set_tensor(self._input["index"], image)
        self._interpreter.invoke()
        row = self._interpreter.get_tensor(self._output["index"])[0]
        scale, zero_point = self._output["quantization"]
        if row.dtype != np.float32 and scale:
            row = (row.astype(np.float32) - zero_point) * scale
        return np.array(row, np.float32)


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Keep LiteRT's "Created TensorFlow Lite XNNPACK delegate" off stderr while it loads.

    It writes to the file descriptor, and Python offers no level for it (ai-edge-litert 2.3.0).
    """
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)


def associated_file(path: Path, name: str) -> bytes | None:
    """A file that TFLite metadata keeps in the zip archive behind the flatbuffer.

    Returns:
        Its bytes, or None if the model carries no such file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except (zipfile.BadZipFile, KeyError):
        return None
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from error
    # What zipfile says of wrong bytes: an unknown version or method, a password, a torn stream.
    except (RuntimeError, EOFError, zlib.error) as error:
        raise BundleError(f"{path}: its archive of labels is damaged ({error})") from error
