"""Keras files, looked at before TensorFlow is started for them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Final

from mobilecv.sources.keras.configs import read_config
from mobilecv.sources.keras.custom_objects import CustomObjects
from mobilecv.sources.keras.file_code import check_code
from mobilecv.sources.loading import NOTHING_STATED, LoadOptions, refuse_architecture
from mobilecv_runtime.errors import SourceError, guest

SUFFIXES: Final = (".h5", ".hdf5", ".keras", ".model")


def check_file(path: Path, loading: LoadOptions = NOTHING_STATED) -> None:
    """Look at a file before TensorFlow is started for it.

    Raises:
        SourceError: If it is missing, empty, truncated, holds weights only, or holds code that is
            not allowed.
        UsageError: If an architecture is stated for a whole model, or what is stated about custom
            objects is wrong.
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
    else:
        _check_hdf5(path)
    refuse_architecture(path, "a whole Keras model", loading)
    check_code(path, read_config(path).config, loading)
    if loading.custom_objects is not None:
        CustomObjects.parse(loading.custom_objects).check()


def _check_keras_archive(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        if "config.json" not in archive.namelist():
            raise SourceError(f"{path}: a zip archive, but no Keras model (it has no config.json)")


def _check_hdf5(path: Path) -> None:
    h5py = guest("h5py", extra="keras")
    try:
        with h5py.File(path, "r") as file:
            has_architecture = "model_config" in file.attrs
            holds_weights = "layer_names" in file.attrs or "layers" in file
    except OSError as error:
        raise SourceError(
            f"{path}: truncated, or not a Keras model (neither HDF5 nor .keras: {error})"
        ) from error
    if has_architecture:
        return
    if holds_weights:
        raise SourceError(
            f"{path}: holds weights without an architecture; save the whole model with "
            "model.save(...) where it was built, and export that file"
        )
    raise SourceError(f"{path}: an HDF5 file, but no Keras model (it has no model_config)")
