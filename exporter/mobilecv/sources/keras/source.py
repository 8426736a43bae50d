"""Keras models: HDF5, `.keras`, or in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from mobilecv.captures.tensorflow import TensorFlowGraph, tensorflow_module
from mobilecv.sources.base import SourceDescription, StatedInput
from mobilecv.sources.keras.files import check_file
from mobilecv.sources.keras.framework import convertible_operations, keras_module, limit_threads
from mobilecv.sources.keras.whole_models import load_whole_model
from mobilecv.sources.loading import NOTHING_STATED, LoadOptions
from mobilecv_runtime.errors import SourceError
from mobilecv_runtime.heads import HeadKind
from mobilecv_runtime.spec import FloatArray

_HEADS: Final[dict[str, HeadKind]] = {"Softmax": "softmax", "Sigmoid": "sigmoid"}
_LINEAR: Final = frozenset({"MatMul", "BiasAdd", "Conv2D", "Mean", "Reshape", "Add", "AddV2"})
_PASSED_OVER: Final = frozenset({"Identity", "Cast", "StopGradient"})
_NORMALISING: Final = frozenset({"Rescaling", "Normalization"})


class KerasSource:
    """A Keras model under TensorFlow."""

    def __init__(self, model: Any, name: str, repairs: tuple[str, ...] = ()) -> None:
        """Check that a loaded model is an image classifier.

        Args:
            model: A `keras.Model`.
            name: What messages call it.
            repairs: What was repaired while it was loaded, a line each.

        Raises:
            SourceError: If it does not take one image and give one row of values.
        """
        self._model, self._name, self._repairs = model, name, repairs
        self._input_shape = _image_shape(model, name)
        self._function: Any = None

    @classmethod
    def load(
        cls, path: Path, loading: LoadOptions = NOTHING_STATED, threads: int | None = None
    ) -> KerasSource:
        """Load a file; code in it runs only as far as `loading` allows it.

        Args:
            path: A file of HDF5 or a `.keras` archive.
            loading: What the user states.
            threads: How many threads TensorFlow may use; None for its default.

        Raises:
            SourceError: If it is missing, damaged, no Keras model, or holds Python code.
            UsageError: If what is stated does not go with the file.
            MissingDependencyError: If TensorFlow or Keras is not installed.
        """
        check_file(path, loading)
        limit_threads(threads)
        model, repairs = load_whole_model(path, loading)
        return cls(model, str(path), repairs)

    def describe(self, stated: StatedInput) -> SourceDescription:
        """See `SourceModel.describe`; a Keras model says all of it itself."""
        del stated
        height, width, channels = self._input_shape
        outputs = int(self._model.outputs[0].shape[-1])
        operation = self._last_operation()
        head: HeadKind | None = _HEADS.get(operation)
        if operation in _LINEAR:
            head = "logits"
        if (outputs == 1 and head != "sigmoid") or (outputs > 1 and head == "sigmoid"):
            head = None
        return SourceDescription(
            framework="keras",
            height=height,
            width=width,
            channels=channels,
            outputs=outputs,
            head=head,
            last_operation=operation,
            normalises=tuple(_normalising_layers(self._model)),
            tools={
                "keras": keras_module().__version__,
                "tensorflow": tensorflow_module().__version__,
            },
            notes=self._repairs,
        )

    def outputs(self, values: FloatArray) -> FloatArray:
        """See `SourceModel.outputs`."""
        if self._function is None:
            tf = tensorflow_module()
            self._function = tf.function(
                lambda batch: self._model(batch, training=False),
                input_signature=[tf.TensorSpec((None, *self._input_shape), tf.float32)],
            )
        return np.asarray(self._function(values), np.float32)

    def capture(self, path: Path, shape: tuple[int, int, int]) -> TensorFlowGraph:
        """See `SourceModel.capture`."""
        with convertible_operations():
            return TensorFlowGraph.write(
                lambda image: self._model(image, training=False), shape, path.with_suffix(".pb")
            )

    def _last_operation(self) -> str:
        """The type of the operation that gives the model's outputs, seen in a trace."""
        tf = tensorflow_module()
        height, width, channels = self._input_shape
        # A network of free size is traced at a size that survives its strides.
        signature = tf.TensorSpec((1, height or 224, width or 224, channels), tf.float32)
        traced = tf.function(lambda image: self._model(image, training=False), autograph=False)
        operation = traced.get_concrete_function(signature).graph.outputs[0].op
        while operation.type in _PASSED_OVER:
            operation = operation.inputs[0].op
        return str(operation.type)


def is_keras_model(model: object) -> bool:
    """Whether an object is a Keras model, found without importing Keras."""
    names = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(model).mro()}
    return "keras.Model" in names


def _image_shape(model: Any, name: str) -> tuple[int | None, int | None, int]:
    inputs, outputs = model.inputs, model.outputs
    if not inputs or not outputs:
        raise SourceError(f"{name}: the model was never built; call it once, or give an Input")
    if len(inputs) != 1 or len(outputs) != 1:
        raise SourceError(
            f"{name}: has {len(inputs)} inputs and {len(outputs)} outputs; a classifier has one "
            "image in and one row of scores out"
        )
    shape, given = tuple(inputs[0].shape), tuple(outputs[0].shape)
    if len(shape) != 4 or shape[3] not in (1, 3):
        raise SourceError(
            f"{name}: its input is of shape {shape}; expected one image, "
            "(batch, height, width, 1 or 3)"
        )
    if len(given) != 2 or given[1] is None:
        raise SourceError(
            f"{name}: its output is of shape {given}; expected one row of scores, (batch, classes)"
        )
    return shape[1], shape[2], int(shape[3])


def _normalising_layers(model: Any) -> Iterator[str]:
    """The layers that rescale the image itself: those that no weights lie before.

    Further in, a `Rescaling` only scales features.
    """
    # A Sequential keeps its graph apart.
    graph = getattr(model, "_functional", None) or model
    by_depth = getattr(graph, "_nodes_by_depth", None)
    if by_depth is None:  # A model that is code has no graph to walk.
        yield from (str(each.name) for each in model.layers if type(each).__name__ in _NORMALISING)
        return
    image: set[Any] = set()
    for depth in sorted(by_depth, reverse=True):
        for node in by_depth[depth]:
            layer = node.operation
            if not node.is_input and image.isdisjoint(node.parent_nodes):
                continue
            normalises = type(layer).__name__ in _NORMALISING
            if normalises:
                yield str(layer.name)
            if hasattr(layer, "layers"):
                yield from _normalising_layers(layer)
            if node.is_input or normalises or not getattr(layer, "weights", ()):
                image.add(node)
