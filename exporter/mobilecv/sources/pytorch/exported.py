"""torch.export programs: `.pt2` archives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mobilecv.captures.torch_modes import to_evaluation_mode
from mobilecv.sources.pytorch.exported_archive import checked_archive
from mobilecv.sources.pytorch.network import Network, check_values
from mobilecv.sources.pytorch.torchscript import lenient
from mobilecv_runtime.errors import SourceError, guest

_PLAIN_PICKLES = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


def load_exported(path: Path) -> Network:
    """Load what `torch.export.save` wrote, without running code that it holds.

    Raises:
        SourceError: If it is damaged, could run code, or is not one image in, one tensor out.
    """
    torch = guest("torch", extra="torch")
    archive = checked_archive(path)
    try:
        with _no_code_in_pickles():
            program = torch.export.load(archive)
            module = program.module()
    # The reader raises whatever a wild field leads to.
    except Exception as error:
        message = " ".join(str(error).split())[:300]
        raise SourceError(f"{path}: torch.export.load fails: {message}") from error
    to_evaluation_mode(module)
    module = lenient(module)
    batch, channels, height, width = _image_shape(torch, program, path)
    if batch not in (None, 1):
        raise SourceError(
            f"{path}: was exported for a fixed batch of {batch}; export it again for a batch of 1, "
            "or with a dynamic one: dynamic_shapes=({0: torch.export.Dim('batch')},)"
        )
    _refuse_other_types(torch, module, path)
    check_values(module, str(path))
    return Network(
        module=module,
        channels=channels,
        size=(height, width) if height is not None and width is not None else None,
        one_at_a_time=batch == 1,
    )


def _image_shape(torch: Any, program: Any, path: Path) -> tuple[int | None, ...]:
    """The sizes of its one input; None where one is dynamic."""
    names = program.graph_signature.user_inputs
    values = [
        node.meta["val"]
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in names
    ]
    found = ", ".join(str(tuple(getattr(value, "shape", ("?",)))) for value in values)
    if len(values) != 1 or getattr(values[0], "ndim", 0) != 4:
        raise SourceError(
            f"{path}: takes {found or 'nothing'}; expected one image, "
            "(batch, channels, height, width)"
        )
    if values[0].dtype != torch.float32:
        raise SourceError(
            f"{path}: takes {values[0].dtype}; export the network in float32 (model.float())"
        )
    return tuple(size if isinstance(size, int) else None for size in values[0].shape)


def _refuse_other_types(torch: Any, module: Any, path: Path) -> None:
    """The program's operations are fixed to their types, so these weights cannot be cast."""
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise SourceError(
                f"{path}: weight {name!r} is {tensor.dtype}; export the network in float32 "
                "(model.float())"
            )
        if tensor.device.type != "cpu":
            raise SourceError(
                f"{path}: was exported on {tensor.device}; export it on the CPU (model.cpu())"
            )


@contextmanager
def _no_code_in_pickles() -> Iterator[None]:
    """Keep torch from unpickling objects.

    Where torch 2.13 reads tensors from pickles and a safe reading fails, it falls back to an
    unsafe one; this environment variable of torch.load forbids that.
    """
    before = os.environ.get(_PLAIN_PICKLES)
    os.environ[_PLAIN_PICKLES] = "1"
    try:
        yield
    finally:
        del os.environ[_PLAIN_PICKLES]
        if before is not None:
            os.environ[_PLAIN_PICKLES] = before
