"""Looks into Keras files without starting TensorFlow."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

from mobilecv.sources.keras.configs import layers_of, name_of, read_config
from mobilecv.sources.keras.files import kind_of
from mobilecv.sources.keras.multiply_adds import keras_census
from mobilecv.sources.keras.weights_files import open_weights
from mobilecv_runtime.errors import SourceError, guest
from mobilecv_runtime.inspection import Inspection, Tensor

_OPTIMIZER_GROUPS = ("optimizer", "optimizer_weights")


def inspect_keras(path: Path) -> Inspection:
    """Read architecture and weights of a Keras file of any age, or layers and shapes of weights.

    Raises:
        SourceError: If it is missing, damaged, or no Keras model.
        MissingDependencyError: If h5py is not installed.
    """
    if kind_of(path) == "weights":
        return _inspect_weights(path)
    stored = read_config(path)
    config = stored.config
    h5py = guest("h5py", extra="keras")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r")
        else:
            weights = h5py.File(path, "r")
        with weights:
            sizes = _sizes(weights, h5py)
    except (OSError, KeyError) as error:
        raise SourceError(f"{path}: damaged ({error})") from error
    layers = list(layers_of(config))
    shapes = [shape for layer in layers if (shape := _input_shape(layer))]
    return Inspection(
        file=str(path),
        format=f"Keras {stored.keras_version} {config.get('class_name', 'model')}",
        bytes=path.stat().st_size,
        inputs=[Tensor(name="image", type=f"float32 {shapes[0]}")] if shapes else [],
        outputs=[Tensor(name=name_of(layers[-1]), type=_last(layers[-1]))] if layers else [],
        labels=None,
        contract=None,
        operations=dict(Counter(str(layer["class_name"]) for layer in layers).most_common()),
        data_types=dict(sizes.most_common()),
        parameters=sum(sizes.values()),
        census=keras_census(config),
    )


def _inspect_weights(path: Path) -> Inspection:
    """Every layer of a file of weights, with the shapes of its weights."""
    sizes: Counter[str] = Counter()
    shapes: dict[str, str] = {}
    with open_weights(path) as file:
        for layer in file.layers:
            shapes[layer.title] = ", ".join(
                "x".join(map(str, shape)) or "one value" for shape in layer.shapes
            )
            for _, weight in layer.weights:
                sizes[str(weight.dtype)] += int(weight.size)
        version = file.version
    return Inspection(
        file=str(path),
        format=f"Keras weights without an architecture, Keras {version}",
        bytes=path.stat().st_size,
        inputs=[],
        outputs=[],
        labels=None,
        contract=None,
        operations={},
        data_types=dict(sizes.most_common()),
        parameters=sum(sizes.values()),
        metadata=shapes,
    )


def _input_shape(layer: dict[str, Any]) -> str | None:
    config = layer["config"]
    shape = config.get("batch_shape") or config.get("batch_input_shape")
    return "x".join("?" if size is None else str(size) for size in shape) if shape else None


def _last(layer: dict[str, Any]) -> str:
    config = layer["config"]
    units, activation = config.get("units", config.get("output_dim")), config.get("activation")
    words = [layer["class_name"]]
    if units is not None:
        words.append(f"{units} values")
    if isinstance(activation, str):
        words.append(activation)
    return ", ".join(words)


def _sizes(weights: Any, h5py: Any) -> Counter[str]:
    sizes: Counter[str] = Counter()

    def count(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith(_OPTIMIZER_GROUPS):
            sizes[str(item.dtype)] += int(item.size)

    weights.visititems(count)
    return sizes
