"""What the user says about how a source is to be loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mobilecv_runtime.errors import UsageError

ARCHITECTURE_ARGS: Final = "--architecture-args"


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """How to load a source; with nothing stated, no code of the user's or the file's is run."""

    architecture: str | None = None
    """Who builds the network for a file that holds weights only: `torchvision.models:resnet18`,
    `timm:efficientnet_b0`, `keras.applications:InceptionV3`, `package.module:build`,
    `my_model.py:build`, or for Keras a config, `model.json`."""
    architecture_args: Mapping[str, Any] = field(default_factory=dict)
    """The keyword arguments it is called with."""
    allow_pickle: bool = False
    """Whether a pickle may import and run what it names."""
    allow_code: bool = False
    """Whether Python code inside a Keras file may run."""
    custom_objects: str | None = None
    """Layers and functions of the user's that a Keras file names: `my_layers.py:MyLayer,Other` or
    `package.module:MyLayer`."""
    folder: Path | None = None
    """Where imports of the user's own modules start; None for the current folder."""

    def __post_init__(self) -> None:
        # The manifest keeps them as JSON, and `verify` must call with the very same values.
        try:
            text = json.dumps(dict(self.architecture_args), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise UsageError(f"architecture_args: expected JSON values ({error})") from error
        object.__setattr__(self, "architecture_args", json.loads(text))


NOTHING_STATED: Final = LoadOptions()


def parse_architecture_args(text: str) -> Mapping[str, Any]:
    """Read the JSON object of keyword arguments.

    Raises:
        UsageError: If it is no JSON, or no object.
    """
    example = """expected a JSON object, such as '{"num_classes": 10}'"""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{ARCHITECTURE_ARGS} {text!r}: {example} ({error})") from error
    if not isinstance(data, dict):
        raise UsageError(f"{ARCHITECTURE_ARGS} {text!r}: {example}")
    return data


def refuse_architecture(path: Path, what: str, loading: LoadOptions) -> None:
    """Refuse an architecture for a file that brings its own network.

    Raises:
        UsageError: If one is stated.
    """
    if loading.architecture is not None or loading.architecture_args:
        raise UsageError(
            f"{path}: is {what}, which brings its own network; leave --architecture out"
        )


def refuse_custom_objects(path: Path, loading: LoadOptions) -> None:
    """Refuse Keras' custom objects for a file that cannot name any.

    Raises:
        UsageError: If some are stated.
    """
    if loading.custom_objects is not None:
        raise UsageError(f"{path}: is no Keras file; leave --custom-objects out")
