"""Traces PyTorch modules with `torch.export`, and says where in the user's code that fails."""

from __future__ import annotations

import contextlib
import io
import logging
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mobilecv.captures.torch_modes import to_evaluation_mode
from mobilecv_runtime.errors import SourceError, guest

_HERE: Final = Path(__file__)


def trace(module: Any, shape: tuple[int, int, int]) -> tuple[Any, bool]:
    """Export a module in evaluation mode, for any batch if its code allows that.

    Args:
        module: A `torch.nn.Module`, or the `GraphModule` of an exported program.
        shape: (height, width, channels) of the input.

    Returns:
        The `torch.export.ExportedProgram`, and whether it takes a batch of any size.

    Raises:
        SourceError: If neither works, the network fails by itself, or the outputs are no
            (batch, outputs) in float32.
    """
    torch = guest("torch", extra="torch")
    to_evaluation_mode(module)
    height, width, channels = shape
    # A sample of two: sizes of 0 and 1 are always taken for constants.
    sample = torch.zeros(2, channels, height, width)
    with quiet():
        _run(module, sample[:1])
        try:
            batch = torch.export.Dim("batch")
            program = torch.export.export(module, (sample,), dynamic_shapes=({0: batch},))
            dynamic = True
        # The second attempt says what is wrong, if anything is beside the batch.
        except Exception:
            program, dynamic = _trace_one_image(module, sample[:1]), False
    _check_outputs(program)
    return program, dynamic


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep torch's warnings, logs and printed graphs off the terminal.

    For a network that fails, torch prints the graph that it had so far (2.13); all that helps
    stands in the error. Logs are held back up to WARNING.
    """
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    chatter = io.StringIO()
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(chatter),
            contextlib.redirect_stderr(chatter),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _run(module: Any, sample: Any) -> None:
    """Tell a network that fails by itself from one that cannot be captured."""
    torch = guest("torch", extra="torch")
    try:
        with torch.no_grad():
            module(sample)
    # It raises whatever the module's code raises.
    except Exception as error:
        _, channels, height, width = sample.shape
        raise SourceError(
            f"the network fails on one {height}x{width} image of {channels} "
            f"channel{'s'[: channels > 1]}: {_place(error)}{_reason(error)}; state the image that "
            "it was trained with"
        ) from error


def _trace_one_image(module: Any, sample: Any) -> Any:
    torch = guest("torch", extra="torch")
    try:
        return torch.export.export(module, (sample,))
    # torch.export raises its own errors and whatever the module's code raises.
    except Exception as error:
        raise SourceError(
            f"the network cannot be captured: {_place(error)}{_reason(error)}; "
            "the steps must not depend on the pixels: write torch.where for `if`, and tensor "
            "operations for .item(), .numpy() and loops"
        ) from error


def _place(error: Exception) -> str:
    """File and line of the innermost code that is not torch's own."""
    torch = guest("torch", extra="torch")
    inside = Path(torch.__file__).parent
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_file() and path != _HERE and inside not in path.parents:
            return f"{path}:{frame.lineno} `{frame.line}`: "
    return ""


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def _check_outputs(program: Any) -> None:
    torch = guest("torch", extra="torch")
    outputs = [node.meta.get("val") for node in program.graph.output_node().args[0]]
    values = outputs[0] if len(outputs) == 1 else None
    fits = isinstance(values, torch.Tensor) and values.ndim == 2 and values.dtype == torch.float32
    if not fits:
        found = ", ".join(_describe(value) for value in outputs)
        raise SourceError(
            f"the network gives {found}; expected one row of scores, (batch, outputs) in float32"
        )


def _describe(value: Any) -> str:
    shape = tuple(getattr(value, "shape", ()))
    return f"{shape} {getattr(value, 'dtype', type(value).__name__)}"
