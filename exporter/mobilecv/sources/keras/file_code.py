"""Finds the Python code that a Keras file brings along, so that none of it runs unasked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mobilecv.sources.keras.configs import layers_of, name_of
from mobilecv.sources.loading import LoadOptions
from mobilecv_runtime.errors import SourceError


def check_code(path: Path, config: dict[str, Any], loading: LoadOptions) -> None:
    """Refuse a file with code in it, unless the user allows it.

    Raises:
        SourceError: If it holds a Lambda with code.
    """
    if loading.allow_code:
        return
    for layer in layers_of(config):
        if layer["class_name"] == "Lambda" and not _calls_by_name(layer):
            raise SourceError(
                f"{path}: its Lambda layer {name_of(layer)!r} is Python code inside the file; "
                "build the network without it, or pass --allow-code if you trust the file's maker"
            )


def _calls_by_name(layer: dict[str, Any]) -> bool:
    """Whether a Lambda names a function and does not bring it."""
    config = layer["config"]
    described = config.get("function")
    if config.get("function_type") == "function":
        return isinstance(described, str)
    return isinstance(described, dict) and described.get("class_name") == "function"
