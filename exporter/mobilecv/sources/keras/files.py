"""Keras files, looked at before TensorFlow is started for them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Final, Literal, TypeAlias

from mobilecv.sources.architectures import Architecture
from mobilecv.sources.keras.configs import read_config
from mobilecv.sources.keras.custom_objects import CustomObjects
from mobilecv.sources.keras.file_code import check_code
from mobilecv.sources.keras.weights_files import holds_weights
from mobilecv.sources.loading import NOTHING_STATED, LoadOptions, refuse_architecture
from mobilecv_runtime.errors import SourceError, guest

FileKind: TypeAlias = Literal["whole", "weights"]

SUFFIXES: Final = (".h5", ".hdf5", ".keras", ".model")


def check_file(path: Path, loading: LoadOptions = NOTHING_STATED) -> FileKind:
    """Look at a file before TensorFlow is started for it.

    Raises:
        SourceError: If it is missing, empty, truncated, holds weights and no architecture is
            stated, or holds code that is not allowed.
        UsageError: If an architecture is stated for a whole model, or cannot be, or what is stated
            about custom objects is wrong.
    """
    kind = kind_of(path)
    if kind == "whole":
        refuse_architecture(path, "a whole Keras model", loading)
        check_code(path, read_config(path).config, loading)
    elif loading.architecture is None:
        raise SourceError(
            f"{path}: holds weights without an architecture; name what builds the network with "
            "--architecture, such as model.json, keras.applications:InceptionV3 or "
            "my_model.py:build, or save the whole model with model.save(...) where it was built"
        )
    else:
        Architecture.parse(loading.architecture).check(loading.architecture_args, "keras")
    if loading.custom_objects is not None:
        CustomObjects.parse(loading.custom_objects).check()
    return kind


def kind_of(path: Path) -> FileKind:
    """Whether a file holds a whole model or weights only, told by its content.

    Raises:
        SourceError: If it is missing, empty, truncated, or no Keras file.
    """
    if path.is_dir():
        raise SourceError(f"{path}: a folder; expected a Keras file ({', '.join(SUFFIXES)})")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise SourceError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from error
    if size == 0:
        raise SourceError(f"{path}: the file is empty; copy it again")
    if zipfile.is_zipfile(path):
        _check_keras_archive(path)
        return "whole"
    return _kind_of_hdf5(path)


def _check_keras_archive(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        if "config.json" not in archive.namelist():
            raise SourceError(f"{path}: a zip archive, but no Keras model (it has no config.json)")


def _kind_of_hdf5(path: Path) -> FileKind:
    h5py = guest("h5py", extra="keras")
    try:
        with h5py.File(path, "r") as file:
            if "model_config" in file.attrs:
                return "whole"
            if holds_weights(file):
                return "weights"
    except (OSError, RuntimeError) as error:
        raise SourceError(
            f"{path}: truncated, or not a Keras model (neither HDF5 nor .keras: {error})"
        ) from error
    raise SourceError(f"{path}: an HDF5 file, but no Keras model (it has no model_config)")
