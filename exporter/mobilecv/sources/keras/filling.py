"""Weights put into a network, each into the variable that it was saved from."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from mobilecv.sources.keras.matching import match
from mobilecv.sources.keras.weights_files import SavedLayer, WeightsFile, open_weights
from mobilecv_runtime.errors import SourceError, guest

_Owners: TypeAlias = dict[str, dict[str, Any]]
"""Layer -> kind of weight, such as `kernel` -> weight."""


def fill(model: Any, file: WeightsFile, name: str, architecture: str) -> tuple[str, ...]:
    """Give every weight of a network its saved value.

    Args:
        model: A built `keras.Model`.
        file: The open file.
        name: What messages call the file.
        architecture: What they call the network.

    Returns:
        How the layers were found.

    Raises:
        SourceError: If a weight would stay at random values, or a shape differs.
    """
    if file.is_list:
        return _fill_by_list(model, file, name, architecture)
    return _fill_by_path(model, file, name, architecture)


@dataclass(frozen=True, kw_only=True)
class _NetworkLayer:
    name: str
    place: str
    variables: tuple[Any, ...]
    """In the order of the old files: what is trained, then what is not."""

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(variable.shape) for variable in self.variables)


def _fill_by_list(model: Any, file: WeightsFile, name: str, architecture: str) -> tuple[str, ...]:
    layers = [layer for layer in model.layers if layer.weights]
    wanted = [
        _NetworkLayer(
            name=layer.name,
            place=str(number),
            variables=(*layer.trainable_weights, *layer.non_trainable_weights),
        )
        for number, layer in enumerate(layers)
    ]
    matching = match(file.layers, wanted, name, architecture)
    filled = set()
    for saved, layer in matching.pairs:
        for variable, value in _assignments(saved, layer, name):
            variable.assign(np.asarray(value))
            filled.add(id(variable))
    left = [variable.path for variable in model.weights if id(variable) not in filled]
    if left:
        raise SourceError(
            f"{name}: {', '.join(left[:4])} of {architecture} would stay at random values: the "
            "file has no weights that belong to no layer"
        )
    return matching.notes


def _assignments(saved: SavedLayer, layer: _NetworkLayer, name: str) -> list[tuple[Any, Any]]:
    """Which weight goes into which variable of a layer, or of a nested model.

    The order in a file depends on what was frozen when it was written. So owner and kind of a
    weight decide (`block1_conv1/kernel`), and the order only among owners whose names differ, or
    where a file names no kinds, as Keras 1 did.
    """
    ours = _owners([(variable.path, variable) for variable in layer.variables])
    theirs = _owners(saved.weights)
    if ours is not None and theirs is not None and len(ours) == len(theirs):
        by_name = ours.keys() == theirs.keys()
        owners = [(theirs[own] if by_name else their, ours[own])
                  for own, their in zip(ours, theirs.values(), strict=True)]  # fmt: skip
        if all(_alike(their, own) for their, own in owners):
            return [(own[kind], their[kind]) for their, own in owners for kind in own]
    if saved.shapes != layer.shapes:
        raise SourceError(
            f"{name}: the weights of layer {saved.title!r} are not in the order of the network's: "
            f"{', '.join(weight for weight, _ in saved.weights[:4])} ... in the file, "
            f"{', '.join(variable.path for variable in layer.variables[:4])} ... in the network"
        )
    return list(zip(layer.variables, (value for _, value in saved.weights), strict=True))


def _owners(weights: Sequence[tuple[str, Any]]) -> _Owners | None:
    """Weights by the layer that owns them; None where names do not tell them apart."""
    owners: _Owners = {}
    for name, weight in weights:
        owner, _, kind = name.partition(":")[0].rpartition("/")
        inner = owners.setdefault(owner.rpartition("/")[2], {})
        if not owner or kind in inner:
            return None
        inner[kind] = weight
    return owners


def _alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        tuple(one[kind].shape) == tuple(other[kind].shape) for kind in one
    )


def _fill_by_path(model: Any, file: WeightsFile, name: str, architecture: str) -> tuple[str, ...]:
    """Write the values into the network's own weight file, and let Keras load that.

    So the installed Keras says itself what it expects under which path.
    """
    h5py = guest("h5py", extra="keras")
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / "network.weights.h5"
        model.save_weights(own)
        with open_weights(own) as expected:
            matching = match(file.layers, expected.layers, name, architecture)
            places = [
                (weight.name, saved)
                for layer, network in matching.pairs
                for (_, saved), (_, weight) in zip(layer.weights, network.weights, strict=True)
            ]
        with h5py.File(own, "r+") as written:
            for place, saved in places:
                if written[place].shape != saved.shape:
                    raise SourceError(
                        f"{name}: {place} is {saved.shape} in the file and "
                        f"{written[place].shape} in {architecture}"
                    )
                written[place][...] = saved[...]
        model.load_weights(own)
    return matching.notes
