"""Reads what a Keras file says of its network, without starting TensorFlow."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobilecv_runtime.errors import SourceError, guest


@dataclass(frozen=True, kw_only=True)
class StoredConfig:
    """The config of a whole model, as it stands in the file."""

    config: dict[str, Any]
    """`class_name` and `config` of the model."""
    keras_version: str
    """Such as `2.2.4` or `2.3.0-tf`; `1` where the file does not say, as Keras itself takes it."""
    backend: str
    """`tensorflow`, `theano`, `cntk`, ...: what the model was trained with."""

    @property
    def major(self) -> int:
        """The first number of the version."""
        first = self.keras_version.partition(".")[0]
        return int(first) if first.isdecimal() else 3


def read_config(path: Path) -> StoredConfig:
    """Read the config of an HDF5 file or a `.keras` archive, told apart by content.

    Raises:
        SourceError: If the file is damaged.
        MissingDependencyError: If h5py is not installed.
    """
    h5py = guest("h5py", extra="keras")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                config = json.loads(archive.read("config.json"))
                metadata = json.loads(archive.read("metadata.json"))
            return StoredConfig(
                config=config,
                keras_version=str(metadata.get("keras_version", "3")),
                backend="tensorflow",
            )
        with h5py.File(path, "r") as file:
            return StoredConfig(
                config=json.loads(file.attrs["model_config"]),
                keras_version=text(file.attrs.get("keras_version", "1")),
                backend=text(file.attrs.get("backend") or backend_by_names(file["model_weights"])),
            )
    except (OSError, KeyError, ValueError) as error:
        raise SourceError(f"{path}: damaged ({error})") from error


def backend_by_names(weights: Any) -> str:
    """Keras 1 does not say its backend, but TensorFlow's variables have names such as `W:0`.

    Args:
        weights: The open HDF5 group that holds one for each layer.
    """
    groups = weights.values()
    names = [text(name) for group in groups for name in group.attrs.get("weight_names", ())]
    return "tensorflow" if not names or any(":" in name for name in names) else "theano"


def layers_of(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every layer of a model's config, those of nested models in their place."""
    inner = config.get("config", {})
    listed = inner if isinstance(inner, list) else inner.get("layers")
    if listed is None:
        yield config
        return
    for layer in listed:
        yield from layers_of(layer)


def name_of(layer: dict[str, Any]) -> str:
    """What messages call a layer."""
    return str(layer["config"].get("name", layer["class_name"]))


def text(value: str | bytes) -> str:
    """An attribute of HDF5 as text; h5py gives bytes or str, by the writer's Python."""
    return value.decode() if isinstance(value, bytes) else str(value)
