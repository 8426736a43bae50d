"""Makes ONNX models of PyTorch programs with torch's own exporter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mobilecv.captures import TorchProgram
from mobilecv.captures.interface import INPUT_NAME
from mobilecv_runtime.errors import ConversionError, guest, in_one_line
from mobilecv_runtime.spec import Contract

_OPSET, _IR_VERSION = 18, 8
"""The pair that ONNX Runtime 1.14 reads (https://onnxruntime.ai/docs/reference/compatibility.html).
torch 2.13 would choose 20 and 10, which need 1.18, and gain a Gelu operator that ONNX Runtime
makes by itself."""


def from_torch(program: TorchProgram, contract: Contract) -> Any:
    """Convert a captured program.

    Returns:
        An ONNX model from `image`, (batch, height, width, channels), uint8, to the head's
        output; the batch is 1 where the program could be captured for one image only.

    Raises:
        ConversionError: If the exporter fails.
    """
    torch = guest("torch", extra="torch")
    guest("onnxscript", extra="torch")
    module = program.wrapped(contract, layout="NHWC")
    # A batch of 1 would be taken for a constant.
    count = 2 if program.dynamic_batch else 1
    image = torch.zeros((count, *contract.image.shape), dtype=torch.uint8)
    shapes = ({0: torch.export.Dim("batch")},) if program.dynamic_batch else None
    try:
        model = torch.onnx.export(
            module,
            (image,),
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=[INPUT_NAME],
            output_names=[contract.head.output_name],
            opset_version=_OPSET,
            external_data=False,
            verbose=False,
        ).model_proto
    # The exporter raises whatever its steps raise.
    except Exception as error:
        raise ConversionError(
            f"torch.onnx {torch.__version__}: {in_one_line(_innermost(error))}"
        ) from error
    model.ir_version = _IR_VERSION
    _forget_origin(model)
    return model


def _innermost(error: BaseException) -> BaseException:
    """What went wrong first; the exporter's own error only says in which of its steps."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _forget_origin(model: Any) -> None:
    """Remove the notes of the exporter: stack traces with the paths of the user's machine."""
    for entry in (model.graph, *_entries(model.graph)):
        del entry.metadata_props[:]
        entry.doc_string = ""


def _entries(graph: Any) -> Iterator[Any]:
    yield from (*graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info)
