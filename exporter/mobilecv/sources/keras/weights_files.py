"""What an HDF5 file of Keras weights holds, layer by layer, in every layout that Keras has had.

Keras 1 and 2 write a list of layers, with `layer_names` at the top and `weight_names` in each group
(keras/src/legacy/saving/legacy_h5_format.py). The `.weights.h5` of Keras 3 follows the network's
attributes instead: `layers/conv2d_1/vars/0` (keras/src/saving/saving_lib.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mobilecv_runtime.errors import SourceError, guest

_VARIABLES: Final = "vars"
_UNSAID: Final = "unknown"
_OF_TRAINING: Final = frozenset(
    {"optimizer", "metrics", "loss", "_compile_metrics", "_loss_tracker", "seed_generator"}
)
"""Parts of a path whose variables play no role in answers."""


@dataclass(frozen=True, kw_only=True)
class SavedLayer:
    """The weights of one layer; in files of lists those of a nested model are one layer's."""

    name: str
    """The layer's own name; empty where the file does not say it."""
    place: str
    """Where it stands: its number in a list, or its path."""
    weights: tuple[tuple[str, Any], ...]
    """The weights' names and values; the values have shape and dtype, and are read when the file is
    open."""

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Those of its weights."""
        return tuple(tuple(value.shape) for _, value in self.weights)

    @property
    def title(self) -> str:
        """What people call it, each layer otherwise."""
        if self.place.isdecimal():
            return self.name
        return f"{self.place} ({self.name})" if self.name else self.place


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """An open file of weights."""

    layers: tuple[SavedLayer, ...]
    """Those that have weights."""
    version: str
    """Of the Keras that wrote it; Keras 1 and `.weights.h5` do not say it."""
    is_list: bool
    """Whether it is a list of layers; else it follows the network's attributes."""

    @property
    def is_of_keras1(self) -> bool:
        """Whether it is a list that does not say its version, as every later Keras does."""
        return self.is_list and self.version == _UNSAID


@contextmanager
def open_weights(path: Path) -> Iterator[WeightsFile]:
    """Open a file of weights.

    Raises:
        SourceError: If it is damaged, or of a kind that no Keras since 1.0 wrote.
    """
    h5py = guest("h5py", extra="keras")
    try:
        with h5py.File(path, "r") as file:
            yield _content(file, path, h5py)
    except OSError as error:  # Values are read as late as in the caller's hands.
        raise _damaged(path, error) from error


def holds_weights(file: Any) -> bool:
    """Whether an open HDF5 file holds weights of Keras."""
    found = "layer_names" in file.attrs or "layer_names0" in file.attrs or "nb_layers" in file.attrs
    return found or bool(_groups_of_variables(file))


def _content(file: Any, path: Path, h5py: Any) -> WeightsFile:
    try:
        return _read(file, path, h5py)
    # h5py raises any of these where structures or attributes are broken.
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> SourceError:
    return SourceError(f"{path}: damaged ({error}); copy it again")


def _read(file: Any, path: Path, h5py: Any) -> WeightsFile:
    version = _text(file.attrs.get("keras_version", "")) or _UNSAID
    if "nb_layers" in file.attrs:
        raise SourceError(
            f"{path}: weights of a Keras before 1.0; load and save them with Keras 1 first"
        )
    names = _names(file, "layer_names")
    if not names:
        layers = _by_path(file)
        return WeightsFile(layers=layers, version="3", is_list=False)
    layers = tuple(
        SavedLayer(
            name=name,
            place="",
            weights=tuple((weight, _dataset(file[name], weight, h5py)) for weight in weights),
        )
        for name in names
        if (weights := _names(file[name], "weight_names"))
    )
    if _text(file.attrs.get("backend", "")) == "theano" and any(
        len(shape) > 3 for layer in layers for shape in layer.shapes
    ):
        raise SourceError(
            f"{path}: weights of Keras under Theano, which flips the kernels of convolutions; save "
            "them under TensorFlow first"
        )
    numbered = (
        SavedLayer(name=layer.name, place=str(number), weights=layer.weights)
        for number, layer in enumerate(layers)
    )
    return WeightsFile(layers=tuple(numbered), version=version, is_list=True)


def _by_path(file: Any) -> tuple[SavedLayer, ...]:
    layers = []
    for path in _groups_of_variables(file):
        group = file[path]
        parts = _parts(path)
        if _OF_TRAINING.isdisjoint(parts):
            layers.append(
                SavedLayer(
                    name=_text(group.attrs.get("name", "")),
                    place="/".join(parts),
                    weights=tuple((key, group[key]) for key in sorted(group, key=_number)),
                )
            )
    return tuple(layers)


def _groups_of_variables(file: Any) -> list[str]:
    found: list[str] = []

    def look(name: str, item: Any) -> None:
        if name.replace("\\", "/").rpartition("/")[2] == _VARIABLES and len(item):
            found.append(name)

    file.visititems(look)
    return found


def _parts(path: str) -> list[str]:
    """The path of a layer in today's words.

    tf.keras 2.12 to 2.15 wrote `_layer_checkpoint_dependencies`, and on Windows backslashes.
    """
    today = path.replace("\\", "/").replace("_layer_checkpoint_dependencies", "layers")
    return today.split("/")[:-1]


def _names(group: Any, attribute: str) -> list[str]:
    """A list of names; Keras cuts one that is too long for HDF5 into `name0`, `name1` and so on."""
    if attribute in group.attrs:
        return [_text(name) for name in group.attrs[attribute]]
    names: list[str] = []
    number = 0
    while f"{attribute}{number}" in group.attrs:
        names += [_text(name) for name in group.attrs[f"{attribute}{number}"]]
        number += 1
    return names


def _dataset(group: Any, name: str, h5py: Any) -> Any:
    found = group[name]
    if not isinstance(found, h5py.Dataset):
        raise KeyError(f"{name} is no weight")
    return found


def _number(key: str) -> tuple[int, str]:
    return (int(key), "") if key.isdecimal() else (1 << 30, key)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
