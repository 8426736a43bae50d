"""Other quantisers, called with what they take by default.

Each gets the float network as mobilecv exports it, with the normalisation inside, and the very
calibration photos of mobilecv's own export.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mobilecv.captures.interface import INPUT_NAME
from mobilecv.targets.tflite_metadata import without_files
from mobilecv_runtime.errors import ConversionError
from mobilecv_runtime.spec import Preprocessing


class Rivals:
    """Quantises with other tools, in a process of its own."""

    def __init__(self, photos: Path) -> None:
        """Take the calibration photos.

        Args:
            photos: A `.npy` of (count, height, width, channels), uint8.
        """
        self._photos = np.load(photos)

    def tflite_converter(self, source: Path, preprocessing: Preprocessing, output: Path) -> None:
        """Quantise with TFLiteConverter, from the Keras model itself.

        With a representative dataset and nothing else, float32 goes in and comes out.

        Raises:
            ConversionError: If the source is no Keras model.
        """
        if source.suffix not in (".h5", ".keras"):
            raise ConversionError("TFLiteConverter reads no PyTorch models")
        import keras
        import tensorflow as tf

        model = keras.models.load_model(source, compile=False)
        image = keras.Input(model.inputs[0].shape[1:], batch_size=1)
        values = keras.layers.Rescaling(preprocessing.scale[0], preprocessing.bias[0])(image)
        whole = keras.Model(image, model(values))
        converter = tf.lite.TFLiteConverter.from_keras_model(whole)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([photo] for photo in self._float_photos())
        output.write_bytes(converter.convert())

    def ai_edge_quantizer(self, base: Path, output: Path) -> None:
        """Quantise a float `.tflite` with ai-edge-quantizer's recipe for static int8."""
        from ai_edge_quantizer import quantizer, recipe

        tool = quantizer.Quantizer(bytearray(without_files(base.read_bytes())))
        tool.load_quantization_recipe(recipe.static_wi8_ai8())
        feeds = [{INPUT_NAME: photo} for photo in self._float_photos()]
        ranges = tool.calibrate({"serving_default": feeds})
        output.write_bytes(bytes(tool.quantize(ranges).quantized_model))

    def onnxruntime(self, base: Path, output: Path) -> None:
        """Quantise a float `.onnx` with ONNX Runtime's `quantize_static`: weights per tensor."""
        from onnxruntime.quantization import quantize_static

        quantize_static(str(base), str(output), _Feeds(self._photos))

    def onnxruntime_per_channel(self, base: Path, output: Path) -> None:
        """The same, but for one scale per output channel of the weights.

        On depthwise networks one scale per tensor is known to fail (arXiv 1806.08342).
        """
        from onnxruntime.quantization import quantize_static

        quantize_static(str(base), str(output), _Feeds(self._photos), per_channel=True)

    def _float_photos(self) -> Iterator[Any]:
        """One photo at a time, (1, height, width, channels), float32, 0..255."""
        return (photo[None].astype(np.float32) for photo in self._photos)


class _Feeds:
    """What onnxruntime calls a calibration data reader."""

    def __init__(self, photos: Any) -> None:
        self._feeds = ({INPUT_NAME: photo[None]} for photo in photos)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)
