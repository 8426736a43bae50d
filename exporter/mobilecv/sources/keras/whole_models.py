"""Loads whole Keras models of every age: HDF5 of Keras 1 to 3, and `.keras` archives."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mobilecv.sources.keras.channels_first import is_channels_first, with_channels_last
from mobilecv.sources.keras.configs import StoredConfig, layers_of, name_of, read_config
from mobilecv.sources.keras.custom_objects import CustomObjects
from mobilecv.sources.keras.file_code import check_code
from mobilecv.sources.keras.framework import keras_module
from mobilecv.sources.keras.rewriting import HARD_SIGMOID_OF_KERAS_2, Rewritten, rewrite
from mobilecv.sources.keras.stored_weights import assign_weights
from mobilecv.sources.keras.tensorflow_calls import TENSORFLOW_CALL, tensorflow_call_class
from mobilecv.sources.loading import LoadOptions
from mobilecv_runtime.errors import MobileCVError, SourceError, guest

_MODELS: Final = frozenset({"Functional", "Model", "Sequential"})


def load_whole_model(path: Path, loading: LoadOptions) -> tuple[Any, tuple[str, ...]]:
    """Load a file that holds a network and its weights; the file stays as it is.

    Args:
        path: An HDF5 file or a `.keras` archive, told apart by content.
        loading: What the user states.

    Returns:
        The `keras.Model`, not compiled, with channels last, and what was repaired, a line each.

    Raises:
        SourceError: If it is damaged, holds code that is not allowed, or cannot be taken over
            exactly.
        UsageError: If what is stated about custom objects is wrong.
        MissingDependencyError: If TensorFlow, Keras or h5py is not installed.
    """
    stored = read_config(path)
    check_code(path, stored.config, loading)
    keras = keras_module()
    try:
        load = _load_archive if zipfile.is_zipfile(path) else _load_hdf5
        model, repairs = load(path, stored, loading)
        model, turned = channels_last(model, loading)
    except MobileCVError as error:
        raise type(error)(f"{path}: {error}") from error
    # Keras raises whatever the layer at fault raises.
    except Exception as error:
        message = " ".join(str(error).split())[:300]
        # Archives of Keras 2.12 to 2.15 keep their weights under other names.
        advice = "; save it as .h5 with the Keras that wrote it" if stored.major < 3 else ""
        raise SourceError(
            f"{path}: Keras {keras.__version__} cannot load it: {message}{advice}"
        ) from error
    return model, (*repairs, *turned)


def network_of(stored: StoredConfig, loading: LoadOptions) -> tuple[Any, Rewritten]:
    """Build the network of a config of any age, of random weights.

    Returns:
        The `keras.Model`, and what was rewritten for the installed Keras.

    Raises:
        SourceError: If it has layers that nobody knows, or cannot be taken over exactly.
        Exception: Whatever Keras raises.
    """
    keras = keras_module()
    objects = _objects(keras, loading)
    rewritten = rewrite(stored, _custom_names(loading))
    _check_known(keras, rewritten.config, objects)
    safe = guest("keras.src.saving.serialization_lib", extra="keras").SafeModeScope
    with safe(safe_mode=not loading.allow_code), keras.saving.custom_object_scope(objects):
        kind = keras.Sequential if rewritten.config["class_name"] == "Sequential" else keras.Model
        model = kind.from_config(rewritten.config["config"], custom_objects=objects)
    if not model.built:
        raise SourceError("does not say the shape of its input; save it after its first call")
    _check_shapes(model, rewritten)
    return model, rewritten


def rewriting_note(stored: StoredConfig, rewritten: Rewritten) -> tuple[str, ...]:
    """Says in a line what was rewritten, if anything had to be."""
    if stored.major >= 3:
        return ()
    what = f"{rewritten.changed} layers" if rewritten.changed else "its form alone"
    return (f"config of Keras {stored.keras_version}: rewritten for Keras 3, {what}",)


def turning_note(stored: StoredConfig) -> tuple[str, ...]:
    """Says in a line that kernels were turned, if they had to be."""
    turned = "kernels: turned, since the model was trained with Theano"
    return (turned,) if stored.backend == "theano" else ()


def channels_last(model: Any, loading: LoadOptions) -> tuple[Any, tuple[str, ...]]:
    """Turn a network with channels first; any other is given back. The second value says so."""
    if not is_channels_first(model):
        return model, ()
    keras = keras_module()
    with keras.saving.custom_object_scope(_objects(keras, loading)):
        turned = with_channels_last(model)
    return turned, ("channels first: the network was turned to channels last",)


def _load_archive(
    path: Path, stored: StoredConfig, loading: LoadOptions
) -> tuple[Any, tuple[str, ...]]:
    keras = keras_module()
    objects = _objects(keras, loading)
    _check_known(keras, stored.config, objects)
    with keras.saving.custom_object_scope(objects):
        model = keras.models.load_model(path, compile=False, safe_mode=not loading.allow_code)
    return model, ()


def _load_hdf5(
    path: Path, stored: StoredConfig, loading: LoadOptions
) -> tuple[Any, tuple[str, ...]]:
    model, rewritten = network_of(stored, loading)
    h5py = guest("h5py", extra="keras")
    with h5py.File(path, "r") as file:
        assign_weights(model, file["model_weights"], stored)
        is_optimised = stored.major < 3 and "optimizer_weights" in file
    repairs = [*rewriting_note(stored, rewritten), *turning_note(stored)]
    if is_optimised:
        repairs.append("optimizer: its state is ignored")
    return model, tuple(repairs)


def _check_shapes(model: Any, rewritten: Rewritten) -> None:
    for name, stated in rewritten.stated_shapes.items():
        layer = next((each for each in model.layers if each.name == name), None)
        given = tuple(layer.output.shape[1:]) if layer is not None else None
        if given != stated:
            raise SourceError(
                f"layer {name!r}: states an output of shape {stated}, but Keras 3 gives {given}"
            )


def _custom_names(loading: LoadOptions) -> tuple[str, ...]:
    stated = loading.custom_objects
    return CustomObjects.parse(stated).names if stated is not None else ()


def _objects(keras: Any, loading: LoadOptions) -> dict[str, Any]:
    """What configs may name besides the layers of Keras: its own, ours, and the user's."""
    convnext = guest("keras.src.applications.convnext", extra="keras")
    inception = guest("keras.src.applications.inception_resnet_v2", extra="keras")
    legacy = guest("keras.src.legacy.layers", extra="keras")
    objects = {
        "CustomScaleLayer": inception.CustomScaleLayer,
        "LayerScale": convnext.LayerScale,
        "RandomHeight": legacy.RandomHeight,
        "RandomWidth": legacy.RandomWidth,
        "StochasticDepth": convnext.StochasticDepth,
        "ThresholdedReLU": legacy.ThresholdedReLU,
        HARD_SIGMOID_OF_KERAS_2: hard_sigmoid_of_keras_2,
        TENSORFLOW_CALL: tensorflow_call_class(keras),
    }
    if loading.custom_objects is not None:
        folder = loading.folder or Path.cwd()
        objects |= CustomObjects.parse(loading.custom_objects).load(folder)
    return objects


def hard_sigmoid_of_keras_2(values: Any) -> Any:
    """clip(0.2 x + 0.5, 0, 1), as Keras before 3 has it."""
    return keras_module().ops.clip(0.2 * values + 0.5, 0.0, 1.0)


def _check_known(keras: Any, config: dict[str, Any], objects: dict[str, Any]) -> None:
    unknown = dict(_unknown(keras, config, objects))
    if unknown:
        kinds = ",".join(dict.fromkeys(unknown.values()))
        raise SourceError(
            f"layer {next(iter(unknown))!r} is of the custom kind {kinds}; pass the code that "
            f"defines it with --custom-objects my_layers.py:{kinds}"
        )


def _unknown(
    keras: Any, config: dict[str, Any], objects: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    """Layers and their kinds that neither Keras nor the user knows."""
    registered = keras.saving.get_custom_objects()
    for layer in layers_of(config):
        kind = layer["class_name"]
        known = kind in _MODELS or kind in objects or hasattr(keras.layers, kind)
        by_keras = str(layer.get("module", "")).partition(".")[0] == "keras"
        if not (known or by_keras or layer.get("registered_name", kind) in registered):
            yield name_of(layer), kind
