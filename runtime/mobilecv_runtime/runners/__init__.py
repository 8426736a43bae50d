"""The engines that run artifacts, by the suffix of the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from mobilecv_runtime.errors import BundleError
from mobilecv_runtime.runners.base import ArtifactRunner, Runner
from mobilecv_runtime.runners.coreml import open_coreml
from mobilecv_runtime.runners.onnx import OnnxRunner
from mobilecv_runtime.runners.tflite import TfliteRunner

RUNNERS: Final[Mapping[str, Callable[..., ArtifactRunner]]] = {
    ".tflite": TfliteRunner,
    ".onnx": OnnxRunner,
    ".mlmodel": open_coreml,
    ".mlpackage": open_coreml,
}

__all__ = ["RUNNERS", "ArtifactRunner", "Runner", "open_runner"]


def open_runner(path: Path, *, threads: int = 1) -> ArtifactRunner:
    """Load an artifact into the engine that runs it.

    Args:
        path: A `.tflite`, `.onnx`, `.mlmodel` file or `.mlpackage` folder.
        threads: How many threads one inference may use.

    Raises:
        BundleError: If it is missing, damaged or of an unknown kind.
        MissingDependencyError: If its engine is not installed.
    """
    if not path.exists():
        raise BundleError(f"{path}: no such artifact")
    runner = RUNNERS.get(path.suffix.lower())
    if runner is None:
        raise BundleError(f"{path}: unknown kind of artifact; known are {', '.join(RUNNERS)}")
    return runner(path, threads=threads)
