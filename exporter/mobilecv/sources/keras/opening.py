"""Keras files of every kind, each opened by the module that knows it."""

from __future__ import annotations

from pathlib import Path

from mobilecv.sources.keras.files import check_file
from mobilecv.sources.keras.source import KerasSource
from mobilecv.sources.keras.weights_only import WeightsSource
from mobilecv.sources.loading import LoadOptions


def open_keras(path: Path, loading: LoadOptions, threads: int | None) -> KerasSource:
    """Load a whole model, or weights with their architecture.

    Args:
        path: An `.h5` or `.keras` file.
        loading: What the user states.
        threads: How many threads TensorFlow may use; None for its default.

    Raises:
        SourceError: If it is missing, damaged, or no Keras file, or does not fit its architecture.
        UsageError: If an architecture is unknown, or stated for a whole model.
        MissingDependencyError: If TensorFlow or Keras is not installed.
    """
    if check_file(path, loading) == "weights":
        return WeightsSource.load_weights(path, loading, threads)
    return KerasSource.load(path, loading, threads)
