"""Brings the configs of Keras 1 and 2 to what Keras 3 takes, one small rewrite at a time.

Keras 3 reads few of the files that earlier versions wrote. Each rewrite here stands for one thing
that it refuses or, worse, takes for something else. What only matters in training (initialisers,
regularisers, constraints) is dropped, since the weights are in the file.

Sources: `keras/legacy/interfaces.py` of Keras 2.0 for the names of Keras 1, and the `get_config` of
the versions that a rewrite names.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mobilecv.sources.keras.configs import StoredConfig, layers_of, name_of
from mobilecv.sources.keras.tensorflow_calls import rewrite_tensorflow_calls
from mobilecv_runtime.errors import SourceError

Layer = dict[str, Any]
"""`class_name`, `config`, and in a graph `name` and `inbound_nodes`."""

HARD_SIGMOID_OF_KERAS_2: Final = "hard_sigmoid_of_keras_2"
"""The activation that stands for `hard_sigmoid` of Keras before 3, which has another slope."""

_GRAPHS: Final = frozenset({"Model", "Functional", "Container", "Network"})
_TRAINING_ONLY: Final = ("_initializer", "_regularizer", "_constraint")


@dataclass(frozen=True, kw_only=True)
class Rewritten:
    """A config for Keras 3."""

    config: Layer
    changed: int
    """How many layers say something else than before."""
    stated_shapes: Mapping[str, tuple[int, ...]]
    """Layer -> the output's shape without the batch, where the file says it; Keras 3 computes it,
    so the two must be compared."""


def rewrite(stored: StoredConfig, custom: Collection[str] = ()) -> Rewritten:
    """Rewrite what must be rewritten; a config of Keras 3 stays as it is.

    Args:
        stored: The config, and who wrote it.
        custom: Classes of the user's; what their layers say is theirs.

    Raises:
        SourceError: If the config holds something that Keras 3 would compute otherwise.
    """
    config = copy.deepcopy(stored.config)
    if stored.major >= 3:
        return Rewritten(config=config, changed=0, stated_shapes={})
    config = _without_type_marks(config)
    of_keras = [each for each in layers_of(config) if each["class_name"] not in custom]
    _drop_training_only(of_keras)
    before = [_said(layer) for layer in layers_of(config)]
    shapes = dict(_stated_shapes(config))
    if stored.major == 1:
        _say_orderings(config)
    for layer in of_keras:
        for each in REWRITES:
            if stored.major in each.versions:
                each.apply(layer)
        _check_meaning(layer, stored)
    _rewrite_model(config)
    known = {repr(said) for said in before}
    changed = sum(
        repr(_said(layer)) not in known
        for layer in layers_of(config)
        if layer["class_name"] != "InputLayer"
    )
    return Rewritten(config=config, changed=changed, stated_shapes=shapes)


# --- One layer -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rewrite:
    """One thing that Keras 3 takes otherwise than an earlier version wrote it."""

    versions: frozenset[int]
    """The first numbers of the Keras versions that write so."""
    apply: Callable[[Layer], None]
    """Changes the layer in place, if it is of the kind."""


_KERAS_1: Final = frozenset({1})
_BEFORE_3: Final = frozenset({1, 2})

_KERAS_1_CLASSES: Final = {
    "AtrousConvolution2D": "Conv2D",
    "Convolution2D": "Conv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
}
_KERAS_1_ARGUMENTS: Final = {
    "atrous_rate": "dilation_rate",
    "bias": "use_bias",
    "border_mode": "padding",
    "nb_filter": "filters",
    "output_dim": "units",
    "p": "rate",
    "sigma": "stddev",
    "subsample": "strides",
}
_KERAS_1_DROPPED: Final = frozenset({
    "W_constraint", "W_regularizer", "b_constraint", "b_regularizer", "b_learning_rate_multiplier",
    "beta_init", "depthwise_constraint", "depthwise_regularizer", "gamma_init", "init",
    "input_dim", "input_dtype", "input_length", "pointwise_constraint", "pointwise_regularizer",
    "weights",
})  # fmt: skip
_KERAS_1_ORDERINGS: Final = {"tf": "channels_last", "th": "channels_first"}
_WITHOUT_ORDERING: Final = frozenset({"Cropping2D", "UpSampling2D", "ZeroPadding2D"})
_MERGE_MODES: Final = {
    "ave": "Average",
    "concat": "Concatenate",
    "max": "Maximum",
    "mul": "Multiply",
    "sum": "Add",
}
_CLASSES: Final = {
    # The names that TensorFlow 1.13 to 2.0 gives them.
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    # Of the package efficientnet: does nothing outside of training, as Dropout.
    "FixedDropout": "Dropout",
}
_UNKNOWN_TO_KERAS_3: Final[Mapping[str, frozenset[str]]] = {
    "BatchNormalization": frozenset({"adjustment", "fused", "virtual_batch_size"}),
    "Conv2DTranspose": frozenset({"groups"}),
    "DepthwiseConv2D": frozenset({"filters", "groups"}),
    "InputLayer": frozenset({"ragged"}),
    "SeparableConv2D": frozenset({"groups"}),
    "SpatialDropout2D": frozenset({"noise_shape", "trainable"}),
}
"""Arguments that TensorFlow 1.15 to 2.15 writes and that say nothing about the answers."""


def _keras_1_merge(layer: Layer) -> None:
    if layer["class_name"] != "Merge":
        return
    config = layer["config"]
    mode = config.get("mode")
    if mode not in _MERGE_MODES or config.get("layers"):
        raise SourceError(
            f"layer {name_of(layer)!r}: a Merge of Keras 1 with mode {mode!r} cannot be taken "
            f"over; known are {', '.join(_MERGE_MODES)} in a functional model"
        )
    layer["class_name"] = _MERGE_MODES[mode]
    axis = {"axis": config["concat_axis"]} if mode == "concat" else {}
    layer["config"] = {"name": config["name"], **axis}


def _keras_1_batch_normalisation(layer: Layer) -> None:
    if layer["class_name"] != "BatchNormalization":
        return
    mode = layer["config"].pop("mode", 0)
    if mode != 0:
        raise SourceError(
            f"layer {name_of(layer)!r}: BatchNormalization of Keras 1 in mode {mode} normalises "
            "by each batch, which no later Keras does; only mode 0 can be taken over"
        )


def _keras_1_arguments(layer: Layer) -> None:
    config = layer["config"]
    layer["class_name"] = _KERAS_1_CLASSES.get(layer["class_name"], layer["class_name"])
    if "nb_row" in config:
        config["kernel_size"] = [config.pop("nb_row"), config.pop("nb_col")]
    ordering = config.pop("dim_ordering", None)
    if ordering is not None:
        config["data_format"] = _KERAS_1_ORDERINGS.get(ordering, "channels_last")
    for old, new in _KERAS_1_ARGUMENTS.items():
        if old in config:
            config[new] = config.pop(old)
    for name in _KERAS_1_DROPPED:
        config.pop(name, None)
    if layer["class_name"] == "Conv2DTranspose":
        config.pop("output_shape", None)


def _class_of_tensorflow(layer: Layer) -> None:
    layer["class_name"] = _CLASSES.get(layer["class_name"], layer["class_name"])


def _unknown_arguments(layer: Layer) -> None:
    for name in _UNKNOWN_TO_KERAS_3.get(layer["class_name"], ()):
        layer["config"].pop(name, None)


def _hard_sigmoid(layer: Layer) -> None:
    """Keras before 3: clip(0.2 x + 0.5, 0, 1); Keras 3: relu6(x + 3) / 6."""
    if layer["config"].get("activation") == "hard_sigmoid":
        layer["config"]["activation"] = HARD_SIGMOID_OF_KERAS_2


def _slope(layer: Layer) -> None:
    """What Keras 3 calls `negative_slope`, and warns of under the old name."""
    if layer["class_name"] == "LeakyReLU" and "alpha" in layer["config"]:
        layer["config"]["negative_slope"] = layer["config"].pop("alpha")


def _policy(layer: Layer) -> None:
    """TensorFlow 2.1 to 2.15 writes mixed precision as the config of an object."""
    policy = layer["config"].get("dtype")
    if isinstance(policy, dict):
        layer["config"]["dtype"] = policy["config"]["name"]


def _input_shape(layer: Layer) -> None:
    config = layer["config"]
    if layer["class_name"] == "InputLayer" and "batch_input_shape" in config:
        config["batch_shape"] = config.pop("batch_input_shape")


def _single_axis(layer: Layer) -> None:
    axis = layer["config"].get("axis")
    if isinstance(axis, list) and len(axis) == 1:
        layer["config"]["axis"] = axis[0]


REWRITES: Final = (
    Rewrite(_KERAS_1, _keras_1_merge),
    Rewrite(_KERAS_1, _keras_1_batch_normalisation),
    Rewrite(_KERAS_1, _keras_1_arguments),
    Rewrite(_BEFORE_3, _class_of_tensorflow),
    Rewrite(_BEFORE_3, _unknown_arguments),
    Rewrite(_BEFORE_3, _hard_sigmoid),
    Rewrite(_BEFORE_3, _slope),
    Rewrite(_BEFORE_3, _policy),
    Rewrite(_BEFORE_3, _input_shape),
    Rewrite(_BEFORE_3, _single_axis),
)


# --- What no rewrite can save ----------------------------------------------------------------


def _check_meaning(layer: Layer, stored: StoredConfig) -> None:
    """Refuse what Keras 3 would take without a word and compute otherwise."""
    config = layer["config"]
    if layer["class_name"] == "UpSampling2D" and config.get("interpolation") == "bilinear":
        numbers = stored.keras_version.partition("-")[0].split(".")
        standalone = numbers[:2] == ["2", "3"] and not stored.keras_version.endswith("-tf")
        if standalone or [int(number) for number in numbers[:2]] < [2, 3]:
            raise SourceError(
                f"layer {name_of(layer)!r}: bilinear UpSampling2D of Keras {stored.keras_version} "
                "takes other places between the pixels than Keras 3; train it again there"
            )
    if stored.backend != "theano":
        return
    if layer["class_name"] in ("SeparableConv2D", "DepthwiseConv2D"):
        raise SourceError(
            f"layer {name_of(layer)!r}: {layer['class_name']} of a model that was trained with "
            "Theano cannot be taken over; save it with the TensorFlow backend"
        )
    strides = config.get("strides") or config.get("pool_size") or [1]
    if config.get("padding") == "same" and strides not in (1, [1, 1], [1]):
        raise SourceError(
            f"layer {name_of(layer)!r}: Theano, which the model was trained with, pads 'same' with "
            "strides at other places than TensorFlow; it cannot be taken over"
        )


# --- Models ----------------------------------------------------------------------------------


def _rewrite_model(model: Layer) -> None:
    """Rewrite a model and, from the inside out, those nested in it."""
    if model["class_name"] == "Sequential":
        _rewrite_sequential(model)
    elif model["class_name"] in _GRAPHS:
        _rewrite_graph(model)


def _rewrite_sequential(model: Layer) -> None:
    if isinstance(model["config"], list):  # before Keras 2.2.3
        model["config"] = {"layers": model["config"]}
    config = model["config"]
    config.setdefault("name", model.get("name", "sequential"))
    for layer in config["layers"]:
        _rewrite_model(layer)
    first = config["layers"][0]
    shape = _shape_before(first) or config.pop("build_input_shape", None)
    for layer in config["layers"]:
        layer["config"].pop("batch_input_shape", None)
    if first["class_name"] != "InputLayer" and shape:
        # Keras 3 takes the shape from an InputLayer alone.
        place = {"batch_shape": shape, "dtype": "float32", "name": f"{config['name']}_input"}
        config["layers"].insert(0, {"class_name": "InputLayer", "config": place})


def _shape_before(layer: Layer) -> list[int | None] | None:
    """The shape that a layer takes, where it says so itself or is a model that does."""
    config = layer["config"]
    if layer["class_name"] in _GRAPHS or layer["class_name"] == "Sequential":
        return _shape_before(config["layers"][0])
    shape: list[int | None] | None = config.get("batch_shape") or config.get("batch_input_shape")
    return shape


def _rewrite_graph(model: Layer) -> None:
    model["class_name"] = "Functional"
    config = model["config"]
    for layer in config["layers"]:
        _rewrite_model(layer)
        layer["config"].pop("batch_input_shape", None)
    rewrite_tensorflow_calls(config)
    _count_calls_from_zero(config)
    for ends in ("input_layers", "output_layers"):
        # One of a kind: a list of one would make Keras 3 give a list.
        if len(config[ends]) == 1 and isinstance(config[ends][0], list):
            config[ends] = config[ends][0]


def _count_calls_from_zero(config: dict[str, Any]) -> None:
    """Before Keras 3, the first call of a nested model has the number 1, now 0.

    For the ends of a graph Keras 3 does so itself, if the nested model is a graph as well.
    """
    calls = [each for layer in config["layers"] for each in _calls(layer)]
    ends = [each for key in ("input_layers", "output_layers") for each in _listed(config[key])]
    for layer in config["layers"]:
        if layer["class_name"] not in ("Functional", "Sequential"):
            continue
        of_it = [each for each in (*calls, *ends) if each[0] == layer["name"]]
        if not of_it or min(each[1] for each in of_it) != 1:
            continue
        is_graph = layer["class_name"] == "Functional"
        for each in calls if is_graph else (*calls, *ends):
            if each[0] == layer["name"]:
                each[1] -= 1


def _calls(layer: Layer) -> list[list[Any]]:
    """Every [layer, call, output] that a layer takes."""
    return [each for node in layer.get("inbound_nodes", ()) for each in _listed(node)]


def _listed(references: list[Any]) -> list[list[Any]]:
    return [references] if references and isinstance(references[0], str) else references


# --- Of no layer in particular ---------------------------------------------------------------


def _without_type_marks(value: Any) -> Any:
    """Tuples and numpy values, which TensorFlow 1.13 to 2.15 marks, as lists and numbers."""
    if isinstance(value, list):
        return [_without_type_marks(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") in ("__tuple__", "TensorShape") and "items" in value:
        return _without_type_marks(value["items"])
    if value.get("type") == "ndarray":
        return value["value"]
    return {key: _without_type_marks(each) for key, each in value.items()}


def _say_orderings(config: Layer) -> None:
    """Keras 1 leaves the ordering of these layers out, which is that of their neighbours."""
    layers = list(layers_of(config))
    if any(layer["config"].get("dim_ordering") == "th" for layer in layers):
        for layer in layers:
            if layer["class_name"] in _WITHOUT_ORDERING:
                layer["config"].setdefault("dim_ordering", "th")


def _drop_training_only(layers: list[Layer]) -> None:
    for layer in layers:
        for key in [key for key in layer["config"] if key.endswith(_TRAINING_ONLY)]:
            del layer["config"][key]


def _stated_shapes(config: Layer) -> Iterator[tuple[str, tuple[int, ...]]]:
    """What Keras 1 says of its transposed convolutions."""
    for layer in layers_of(config):
        if layer["class_name"] == "Deconvolution2D" and layer["config"].get("output_shape"):
            yield name_of(layer), tuple(layer["config"]["output_shape"][1:])


def _said(layer: Layer) -> tuple[str, dict[str, Any]]:
    """What counts as a change: an input's shape stated in another place does not."""
    config = {key: value for key, value in layer["config"].items() if "batch" not in key}
    return layer["class_name"], config
