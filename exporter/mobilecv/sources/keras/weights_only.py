"""Files of Keras weights, in the network that the user names."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from mobilecv.sources.architectures import Architecture
from mobilecv.sources.keras.configs import StoredConfig, backend_by_names
from mobilecv.sources.keras.filling import fill
from mobilecv.sources.keras.framework import limit_threads
from mobilecv.sources.keras.network_configs import network_of_config, read_network_config
from mobilecv.sources.keras.source import KerasSource, is_keras_model
from mobilecv.sources.keras.stored_weights import assign_weights
from mobilecv.sources.keras.weights_files import open_weights
from mobilecv.sources.keras.whole_models import channels_last, turning_note
from mobilecv.sources.loading import LoadOptions
from mobilecv_runtime.errors import SourceError, UsageError, guest


class WeightsSource(KerasSource):
    """A network of the user's, filled from a file of weights."""

    @classmethod
    def load_weights(cls, path: Path, loading: LoadOptions, threads: int | None) -> WeightsSource:
        """Build the network and fill it; code runs only as far as the architecture is code.

        Args:
            path: An `.h5` file, looked at by `check_file`.
            loading: What the user states.
            threads: How many threads TensorFlow may use; None for its default.

        Raises:
            SourceError: If the file or the architecture fails, or one does not fit the other.
            UsageError: If the architecture is missing or unknown.
            MissingDependencyError: If TensorFlow or Keras is not installed.
        """
        if loading.architecture is None:
            raise UsageError(f"{path}: holds weights without an architecture")
        limit_threads(threads)
        architecture = Architecture.parse(loading.architecture)
        stored = _stored_config(architecture)
        with open_weights(path) as file:
            if stored is not None and stored.major == 1 and file.is_of_keras1:
                model, notes = _of_keras1(path, architecture, stored, loading)
            else:
                model, notes = _network(architecture, stored, loading)
                notes += fill(model, file, str(path), str(architecture))
        model, turned = channels_last(model, loading)
        return cls(model, str(path), (*notes, *turned))


def _stored_config(architecture: Architecture) -> StoredConfig | None:
    """The config that the architecture is; None if it is code."""
    if architecture.is_config and architecture.file is not None:
        return read_network_config(architecture.file)
    return None


def _of_keras1(
    path: Path, architecture: Architecture, stored: StoredConfig, loading: LoadOptions
) -> tuple[Any, tuple[str, ...]]:
    """A network of Keras 1, which laid out kernels as no later one does.

    How they lie depends on the backend, and only the weights' names tell of that.
    """
    h5py = guest("h5py", extra="keras")
    with h5py.File(path, "r") as file:
        stored = dataclasses.replace(stored, backend=backend_by_names(file))
        model, notes = _network(architecture, stored, loading)
        try:
            assign_weights(model, file, stored)
        except SourceError as error:
            raise SourceError(
                f"{path}: does not fit {architecture} ({error}); check --architecture"
            ) from error
    return model, (*notes, *turning_note(stored))


def _network(
    architecture: Architecture, stored: StoredConfig | None, loading: LoadOptions
) -> tuple[Any, tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    if architecture.file is not None and stored is not None:
        model, notes = network_of_config(architecture.file, stored, loading)
    else:
        model = architecture.build(loading.architecture_args, loading.folder or Path.cwd())
    if not is_keras_model(model):
        raise SourceError(
            f"--architecture {architecture}: gave a {type(model).__name__}; expected a function or "
            "class that gives a keras.Model"
        )
    if not model.built or not model.inputs:
        raise SourceError(
            f"--architecture {architecture}: gave a network that was never built; give it a "
            "keras.Input"
        )
    return model, notes
