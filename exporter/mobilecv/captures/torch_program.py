"""A network as an exported PyTorch program, to be wrapped so that it takes raw pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mobilecv.captures.interface import NO_NORMALISATION, Normalisation
from mobilecv.captures.torch_tracing import quiet, trace
from mobilecv_runtime.errors import guest
from mobilecv_runtime.spec import Contract

if TYPE_CHECKING:
    import torch

    from mobilecv.captures.raw_pixels import Layout, RawPixels


@dataclass(frozen=True, kw_only=True)
class TorchProgram:
    """A `torch.export` archive: normalised image in, the network's own outputs out."""

    path: Path
    """A `.pt2`: (batch, channels, height, width) float32 in, (batch, outputs) float32 out."""
    dynamic_batch: bool
    """False where the network could only be captured for one image at a time."""

    @classmethod
    def write(
        cls, module: torch.nn.Module, shape: tuple[int, int, int], path: Path
    ) -> TorchProgram:
        """Capture a module as it answers in evaluation mode, with its weights.

        Args:
            module: Takes a (batch, channels, height, width) float32 tensor. It is left in
                evaluation mode.
            shape: (height, width, channels).
            path: Where the archive goes; `.pt2` is expected by PyTorch.

        Raises:
            SourceError: If it cannot be captured, with the place in its code, or if it does not
                give one row of float32 values per image.
        """
        torch_ = guest("torch", extra="torch")
        program, dynamic_batch = trace(module, shape)
        with quiet():
            torch_.export.save(program, path)
        return cls(path=path, dynamic_batch=dynamic_batch)

    def wrapped(
        self, contract: Contract, *, layout: Layout, normalised_outside: bool = False
    ) -> RawPixels:
        """The network with normalisation before it and the head behind it.

        Args:
            contract: Says how to normalise and which head.
            layout: How the image comes; its type may be uint8 or float32.
            normalised_outside: True if the caller normalises and orders the channels (as Core ML's
                image input does) and wants the head only.

        Returns:
            A module from raw pixels to scores, (batch, labels), float32.
        """
        torch_ = guest("torch", extra="torch")
        from mobilecv.captures.raw_pixels import RawPixels

        steps = NO_NORMALISATION if normalised_outside else Normalisation.of(contract.preprocessing)
        with quiet():
            # The guards that check shapes would stay in the graph as assertions.
            network = torch_.export.load(self.path).module(check_guards=False)
        return RawPixels(network, steps, contract.head, layout, contract.image.width)
