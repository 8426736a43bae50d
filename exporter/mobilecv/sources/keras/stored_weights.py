"""Puts the weights of an HDF5 file into a model, and leaves none of them out in silence.

The layers of the model and the groups of the file belong together by name. Keras 3 goes by their
order, also inside a nested model, where earlier versions listed what was frozen last; here the
weights of a nested model are found by the name of their own layer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from mobilecv.sources.keras.configs import StoredConfig, text
from mobilecv_runtime.errors import SourceError

Named = list[tuple[str, Any]]
"""Names and arrays, in the file's order."""

_NOT_OF_THE_NETWORK: Final = re.compile(r"StateVar|seed_generator_state|random_generator")
_CONVOLUTIONS: Final = frozenset({"Conv2D", "Conv2DTranspose"})


def assign_weights(model: Any, group: Any, stored: StoredConfig) -> None:
    """Assign every weight of a file to its variable.

    Args:
        model: A built `keras.Model`.
        group: The open HDF5 group with `layer_names`: `model_weights` of a whole model, or a file
            of weights alone.
        stored: Which Keras wrote it, and over which backend.

    Raises:
        SourceError: If the two do not hold the same weights, of the same shapes.
    """
    stored_layers = {}
    for name in _names(group, "layer_names"):
        weights = [
            each for each in _weights(group, name) if not _NOT_OF_THE_NETWORK.search(each[0])
        ]
        if weights:
            stored_layers[name] = weights
    layers = [layer for layer in model.layers if layer.weights]
    if len(layers) != len(stored_layers):
        raise SourceError(
            f"{len(layers)} layers of the model have weights, but the file holds those of "
            f"{len(stored_layers)}; it was not saved whole"
        )
    if {layer.name for layer in layers} == set(stored_layers):
        pairs = [(layer, stored_layers[layer.name]) for layer in layers]
    else:  # nested Sequentials before Keras 2.2.3 have no name in the config
        pairs = list(zip(layers, stored_layers.values(), strict=True))
    for layer, weights in pairs:
        _assign(layer, weights, stored)


def _names(group: Any, key: str) -> list[str]:
    """A list in the attributes, which Keras spreads over `key0`, `key1`, ... when it is long."""
    if key in group.attrs:
        return [text(name) for name in group.attrs[key]]
    chunks = [each for each in group.attrs if re.fullmatch(rf"{key}\d+", each)]
    ordered = sorted(chunks, key=lambda chunk: int(chunk.removeprefix(key)))
    return [text(name) for chunk in ordered for name in group.attrs[chunk]]


def _weights(group: Any, layer: str) -> Named:
    inner = _own(group, layer)
    return [(name, _array(inner, name)) for name in _names(inner, "weight_names")]


def _array(group: Any, name: str) -> Any:
    dataset = _own(group, name)
    if dataset.external:
        raise SourceError(f"weights {name!r} lie in another file; refused")
    return np.asarray(dataset)


def _own(group: Any, name: str) -> Any:
    """What the file itself holds; a link could lead to any file of this machine."""
    found = group
    for part in name.split("/"):
        if type(found.get(part, getlink=True)).__name__ != "HardLink":
            raise SourceError(f"weights {name!r} are a link to another place; refused")
        found = found[part]
    return found


def _assign(layer: Any, weights: Named, stored: StoredConfig) -> None:
    leaves = [leaf for leaf in _leaves(layer) if leaf.weights]
    if len(leaves) == 1:
        _assign_leaf(leaves[0], [array for _, array in weights], stored)
        return
    by_leaf: dict[str, list[Any]] = {leaf.name: [] for leaf in leaves}
    for name, array in weights:
        owner = _owner(name, by_leaf)
        if owner is None:
            break
        by_leaf[owner].append(array)
    fits = len(by_leaf) == len(leaves) and sum(map(len, by_leaf.values())) == len(weights)
    if fits and all(len(by_leaf[leaf.name]) == len(leaf.weights) for leaf in leaves):
        for leaf in leaves:
            _assign_leaf(leaf, by_leaf[leaf.name], stored)
        return
    _assign_in_order(layer, leaves, [array for _, array in weights], stored)


def _assign_in_order(
    model: Any, leaves: list[Any], arrays: list[Any], stored: StoredConfig
) -> None:
    """All that is trained, then the rest, as every Keras lists the weights of a nested model."""
    variables = [*model.trainable_weights, *model.non_trainable_weights]
    if len(variables) != len(arrays):
        raise SourceError(
            f"layer {model.name!r} has {len(variables)} weights, but the file holds {len(arrays)}"
        )
    places = {id(variable): array for variable, array in zip(variables, arrays, strict=True)}
    for leaf in leaves:
        _assign_leaf(leaf, [places[id(variable)] for variable in leaf.weights], stored)


def _leaves(layer: Any) -> Iterator[Any]:
    """The layers that own variables; a wrapper's inner layer counts as its own."""
    inner = layer.layers if hasattr(layer, "layers") else []
    if not inner:
        yield layer
    for each in inner:
        yield from _leaves(each)


def _owner(name: str, leaves: dict[str, list[Any]]) -> str | None:
    """`block/conv/kernel:0` belongs to `conv`; Keras 1 writes `conv_W:0`."""
    parts = name.split("/")
    for part in reversed(parts[:-1]):
        if part in leaves:
            return part
    found = [leaf for leaf in leaves if parts[-1].startswith(f"{leaf}_")]
    return max(found, key=len, default=None)


def _assign_leaf(layer: Any, arrays: list[Any], stored: StoredConfig) -> None:
    variables = list(layer.weights)
    if len(variables) != len(arrays):
        raise SourceError(
            f"layer {layer.name!r} has {len(variables)} weights, but the file holds {len(arrays)}"
        )
    if type(layer).__name__ in _CONVOLUTIONS and stored.major < 3:
        arrays = [_kernel(layer, arrays[0], stored), *arrays[1:]]
    for variable, array in zip(variables, arrays, strict=True):
        if tuple(variable.shape) != array.shape:
            raise SourceError(
                f"layer {layer.name!r}: its {variable.name} is of shape {tuple(variable.shape)}, "
                f"but that in the file of {array.shape}"
            )
        variable.assign(array)
    if hasattr(layer, "finalize_state"):
        layer.finalize_state()


def _kernel(layer: Any, kernel: Any, stored: StoredConfig) -> Any:
    """A kernel as TensorFlow takes it: (height, width, in, out), transposed (..., out, in).

    Source: `preprocess_weights_for_loading` of Keras 2.2.4, `keras/engine/saving.py`.
    """
    transposed = type(layer).__name__ == "Conv2DTranspose"
    if stored.major == 1 and layer.data_format == "channels_first":
        # Theano's order: (out, in, height, width), transposed (in, out, height, width).
        kernel = kernel.transpose((2, 3, 1, 0))
    elif stored.major == 1 and transposed:
        kernel = kernel.transpose((0, 1, 3, 2))
    if stored.backend == "theano":  # it convolves, and the others correlate
        kernel = kernel[::-1, ::-1]
    return kernel
