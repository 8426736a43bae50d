"""The forms of a captured network that coremltools takes, in the order to try them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from mobilecv.captures import TensorFlowGraph, TorchProgram
from mobilecv.targets.base import Job
from mobilecv_runtime.errors import guest


@dataclass(frozen=True, kw_only=True)
class Network:
    """One form in which `coremltools.convert` can be given a network."""

    form: str
    """What messages call it."""
    source: Literal["tensorflow", "pytorch"]
    shape: tuple[int, ...]
    """The shape of its input, one image, in the layout of its framework."""
    make: Callable[[], Any]
    """Raises whatever the framework raises."""


def networks(job: Job, *, normalised_outside: bool) -> tuple[Network, ...]:
    """What to give to coremltools, the best first.

    Args:
        job: The conversion.
        normalised_outside: Whether Core ML's image input normalises.
    """
    height, width, channels = job.contract.image.shape
    capture = job.capture
    match capture:
        case TensorFlowGraph():
            graph = Network(
                form="a TensorFlow graph",
                source="tensorflow",
                shape=(1, height, width, channels),
                make=lambda: (
                    capture.wrapped(
                        job.contract,
                        batch=1,
                        dtype="float32",
                        normalised_outside=normalised_outside,
                    ).definition
                ),
            )
            return (graph,)
        case TorchProgram():
            shape = (1, channels, height, width)

            def module() -> Any:
                return capture.wrapped(
                    job.contract, layout="NCHW", normalised_outside=normalised_outside
                )

            # The exported program knows every shape, where a trace computes some while it runs;
            # coremltools 9.0 takes operations in either that it does not know in the other.
            return (
                Network(
                    form="an exported program",
                    source="pytorch",
                    shape=shape,
                    make=lambda: _exported(module(), shape),
                ),
                Network(
                    form="a TorchScript trace",
                    source="pytorch",
                    shape=shape,
                    make=lambda: _traced(module(), shape),
                ),
            )


def _exported(module: Any, shape: tuple[int, ...]) -> Any:
    torch = guest("torch", extra="torch")
    # coremltools 9.0 refuses programs of the training dialect.
    return torch.export.export(module, (torch.zeros(shape),)).run_decompositions({})


def _traced(module: Any, shape: tuple[int, ...]) -> Any:
    torch = guest("torch", extra="torch")
    with torch.no_grad():
        return torch.jit.trace(module, torch.zeros(shape))
