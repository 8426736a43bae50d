"""A PyTorch network, loaded: what every kind of file becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mobilecv.sources.base import SuggestedInput
from mobilecv_runtime.errors import SourceError, guest


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network that answers, and what is known about it."""

    module: Any
    """A `torch.nn.Module` in eval mode, float32, on the CPU."""
    notes: tuple[str, ...] = ()
    tools: dict[str, str] = field(default_factory=dict)
    suggested: SuggestedInput | None = None
    size: tuple[int, int] | None = None
    """(height, width) where it is fixed."""
    channels: int | None = None
    """Of its input where it is fixed."""
    one_at_a_time: bool = False
    """Whether it was exported for a batch of one image."""
    capturable: Callable[[tuple[int, int, int]], Any] | None = None
    """Gives, for a (height, width, channels), a module that torch.export takes; None where
    `module` is one."""


def settled(module: Any, name: str) -> tuple[Any, tuple[str, ...]]:
    """Put a module into eval mode, float32 and on the CPU, and look at its values.

    Returns:
        The module, and notes on what was changed.

    Raises:
        SourceError: If a parameter or buffer holds NaN.
    """
    torch = guest("torch", extra="torch")
    tensors = [*module.named_parameters(), *module.named_buffers()]
    dtypes = {str(tensor.dtype) for _, tensor in tensors if tensor.is_floating_point()}
    module = module.eval().to(device="cpu", dtype=torch.float32)
    for parameter in module.parameters():  # TorchScript has no Module.requires_grad_.
        parameter.requires_grad_(requires_grad=False)
    check_values(module, name)
    cast = sorted(dtype.removeprefix("torch.") for dtype in dtypes - {"torch.float32"})
    return module, tuple(f"weights: {dtype} tensors were cast to float32" for dtype in cast)


def check_values(module: Any, name: str) -> None:
    """Refuse weights that no training meant.

    Buffers may hold infinity, as attention masks do.

    Raises:
        SourceError: If a parameter is not finite or a buffer NaN; the message names it.
    """
    torch = guest("torch", extra="torch")
    wrong = [
        *(key for key, value in module.named_parameters() if not torch.isfinite(value).all()),
        *(key for key, value in module.named_buffers() if torch.isnan(value).any()),
    ]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise SourceError(
            f"{name}: tensor {wrong[0]!r}{more} holds NaN or infinity; the training went wrong, or "
            "the file is damaged: take an earlier checkpoint"
        )
