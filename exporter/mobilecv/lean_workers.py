"""Spares worker processes the packages that they do not use.

TensorFlow imports JAX if it is there, Keras pandas, scikit-learn and Matplotlib, and coremltools
both TensorFlow and PyTorch, whichever it converts from. With all of them but pandas installed, a
conversion of MobileNetV2 to Core ML took 24.9 s and 1.2 GB, and without those that it does not use,
which gives the same bytes, 14.4 s and 0.8 GB.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final, cast

from mobilecv import sources
from mobilecv.captures import Capture, TensorFlowGraph, TorchProgram
from mobilecv.sources import trust
from mobilecv.sources.loading import LoadOptions
from mobilecv.targets.base import Target

_NEVER_USED: Final = ("matplotlib", "pandas", "sklearn", "transformers")
_BESIDE_KERAS: Final = (*_NEVER_USED, "jax", "torch")
_BESIDE_TORCH: Final = (*_NEVER_USED, "keras", "tensorflow")
_BESIDE_FLOAT_FILE: Final = (*_BESIDE_KERAS, "keras", "tensorflow")
_BESIDE: Final[Mapping[type[Capture], tuple[str, ...]]] = {
    TensorFlowGraph: _BESIDE_KERAS,
    TorchProgram: _BESIDE_TORCH,
}


def unused_by_source(path: Path, loading: LoadOptions) -> tuple[str, ...]:
    """What loading and running a source does not use; code of the user's may use anything."""
    uses_anything = trust.runs_code(loading) or sources.kind_of(path) is sources.TORCH
    return () if uses_anything else _BESIDE_KERAS


def unused_by_converter(target: Target, capture: Capture) -> tuple[str, ...]:
    """What a target does not use to convert a network, or an artifact that it is made from."""
    if target.is_derived:
        return _BESIDE_FLOAT_FILE
    if isinstance(capture, TorchProgram) and target.format == "tflite":
        return ()  # litert-torch takes what it is made of, JAX and parts of TensorFlow.
    return _BESIDE[type(capture)]


def lean(make: Callable[..., Any], without: Collection[str], *args: Any) -> Any:
    """Make an object in a worker process that is to import no unused package.

    From then on, importing one fails in this process as if it were not installed; one that is
    imported already stays. Keras 3 runs under TensorFlow here, whatever `KERAS_BACKEND`,
    `TF_USE_LEGACY_KERAS` or the user's `keras.json` say.

    Args:
        make: Makes the object.
        without: Top-level packages.
        args: What `make` is called with.
    """
    modules = cast("dict[str, Any]", sys.modules)
    for package in without:
        modules.setdefault(package, None)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
    return make(*args)
