"""What of a file contradicts the precision that it is sold under, seen without running it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from mobilecv_runtime.census import DAMAGE, INTEGER_SHARE
from mobilecv_runtime.coreml.program_layers import program_census
from mobilecv_runtime.errors import BundleError
from mobilecv_runtime.onnx_layers import onnx_census, read_onnx
from mobilecv_runtime.spec import Precision
from mobilecv_runtime.tflite_layers import TfliteGraph, quantisation_of, tflite_census

_HALF_A_LEVEL: Final = 0.5
_WHITE: Final = 255


def precision_faults(path: Path, precision: Precision) -> tuple[str, ...]:
    """Everything that a file does not keep; a `.mlmodel` is not asked.

    An int8 file has to multiply in integers, and an int8 `.tflite` has to take a photo's own bytes.
    A Core ML file of int8 weights has to hold some. No `.tflite` may need operations that are not
    built into every runtime.

    Raises:
        BundleError: If the file is damaged.
        MissingDependencyError: If the package that parses it is not installed.
    """
    try:
        match path.suffix:
            case ".tflite":
                return tuple(_tflite_faults(TfliteGraph.read(path), precision))
            case ".onnx" if precision == "int8":
                return tuple(_share_faults(onnx_census(read_onnx(path)).integer_share))
            case ".mlpackage" if precision == "int8-weights":
                return tuple(_weights_faults(program_census(path).weights))
            case _:
                return ()
    except DAMAGE as error:
        raise BundleError(f"{path}: damaged ({error!r})") from error


def _tflite_faults(graph: TfliteGraph, precision: Precision) -> Iterator[str]:
    custom = ", ".join(graph.custom_operations)
    if custom:
        yield f"it needs operations that are not built into LiteRT: {custom}"
    if precision == "int8":
        yield from _share_faults(tflite_census(graph).integer_share)
        for index in graph.inputs:
            yield from _input_faults(graph, index)


def _share_faults(share: float) -> Iterator[str]:
    if share < INTEGER_SHARE:
        yield (
            f"only {share:.0%} of its multiply-adds run in integers, so it is not int8 "
            f"({INTEGER_SHARE:.0%} or more); export the model again"
        )


def _weights_faults(weights: Collection[str]) -> Iterator[str]:
    """Small kernels stay in float16, and there may be more of them than of the others."""
    if not any(storage.startswith("int8") for storage in weights):
        yield (
            f"its weights are stored as {', '.join(weights) or 'nothing known'}, none of them as "
            "int8; export the model again"
        )


def _input_faults(graph: TfliteGraph, index: int) -> Iterator[str]:
    """A photo's bytes are the quantised input if the scale is 1 and the zero point 0.

    A scale counts as 1 if white comes out less than half a level away.
    """
    kind = graph.type_of(index)
    scale, zero_point = quantisation_of(graph.tensors[index]) or (1.0, 0)
    exact = abs(scale - 1) * _WHITE < _HALF_A_LEVEL and zero_point == 0
    if kind != "uint8" or not exact:
        yield (
            f"its image input is {kind} with scale {scale:g} and zero point {zero_point} instead "
            "of uint8, 1 and 0, so a photo's own bytes are not what it takes; export the model "
            "again"
        )
