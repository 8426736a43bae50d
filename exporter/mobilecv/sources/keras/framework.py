"""Keras under TensorFlow, and how to trace it so that every converter knows what it sees."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mobilecv.captures.tensorflow import tensorflow_module
from mobilecv.replacing import replaced
from mobilecv_runtime.errors import SourceError, guest


def keras_module() -> Any:
    """Keras under TensorFlow, if it is installed.

    Raises:
        SourceError: If it runs on something else in this process.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    keras = guest("keras", extra="keras")
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise SourceError(
            f"Keras runs on {backend} in this process, and only under TensorFlow can its models be "
            "exported: save the model and export the file"
        )
    return keras


def limit_threads(threads: int | None) -> None:
    """Let TensorFlow use that many threads; None for its default."""
    if threads is not None:
        tensorflow = tensorflow_module()
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)


@contextmanager
def convertible_operations() -> Iterator[None]:
    """Trace Keras with operations that every converter knows.

    Keras 3 compiles grouped and some other convolutions with XLA, which stays one opaque call
    (`StatefulPartitionedCall`), and `tf.nn.gelu` gives `Erfc`, which neither coremltools 9.0 nor
    tf2onnx 1.17 converts; none of the converters takes the loops of recurrent layers. While this
    context lasts, Keras traces plainly, takes gelu by `erf`, and writes recurrent layers out step
    by step.
    """
    tf = tensorflow_module()
    operations = guest("keras.src.backend.tensorflow.nn", extra="keras")
    backend = guest("keras.src.backend", extra="keras")
    plain = _Overlay(tf, nn=_Overlay(tf.nn, gelu=_gelu), function=_plain_function)
    rnn = backend.rnn

    def step_by_step(*args: Any, **options: Any) -> Any:
        return rnn(*args, **{**options, "unroll": True})

    with replaced(operations, {"tf": plain}), replaced(backend, {"rnn": step_by_step}):
        yield


class _Overlay:
    """A module seen through a few replaced names."""

    def __init__(self, below: Any, **replaced: Any) -> None:
        self.__dict__.update(replaced)
        self._below = below

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)


def _gelu(values: Any, approximate: bool = False, name: str | None = None) -> Any:  # noqa: FBT001, FBT002
    """GELU (arXiv 1606.08415), exact by `erf` or approximated by `tanh`."""
    tf = tensorflow_module()
    if approximate:
        return tf.nn.gelu(values, approximate, name)
    return 0.5 * values * (1.0 + tf.math.erf(values * tf.cast(0.5**0.5, values.dtype)))


def _plain_function(*args: Any, **options: Any) -> Any:
    """`tf.function` without compilation, as a decorator with or without arguments."""
    del options
    return args[0] if args else lambda function: function
