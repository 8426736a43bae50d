"""PyTorch models under the interface of all sources."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Final

import numpy as np

from mobilecv.captures.torch_program import TorchProgram
from mobilecv.sources.base import SourceDescription, StatedInput
from mobilecv.sources.loading import NOTHING_STATED, LoadOptions, refuse_architecture
from mobilecv.sources.pytorch.checkpoints import check_checkpoint, load_checkpoint
from mobilecv.sources.pytorch.exported import load_exported
from mobilecv.sources.pytorch.files import FileKind, kind_of
from mobilecv.sources.pytorch.network import Network, settled
from mobilecv.sources.pytorch.probing import probe
from mobilecv.sources.pytorch.torchscript import load_torchscript
from mobilecv.sources.pytorch.zoo import suggestion_of_module
from mobilecv_runtime.errors import SourceError, UsageError, guest
from mobilecv_runtime.spec import FloatArray

_WRAPPERS: Final = {
    "OptimizedModule": "_orig_mod",
    "DataParallel": "module",
    "DistributedDataParallel": "module",
}


class TorchSource:
    """A PyTorch network, run eagerly on the CPU."""

    def __init__(self, network: Network, name: str) -> None:
        """Take a loaded network.

        Args:
            network: What a file became.
            name: What messages call it.
        """
        self._network, self._name = network, name

    @classmethod
    def load(
        cls, path: Path, loading: LoadOptions = NOTHING_STATED, threads: int | None = None
    ) -> TorchSource:
        """Load a file of any kind; code runs only as far as `loading` allows it.

        Args:
            path: A PyTorch file.
            loading: What the user states.
            threads: How many threads PyTorch may use; None for its default.

        Raises:
            SourceError: If it is missing, damaged, or does not fit its architecture.
            UsageError: If an architecture is missing, unknown or too much.
            MissingDependencyError: If torch or the architecture's package is not installed.
        """
        kind = check_file(path, loading)
        torch = guest("torch", extra="torch")
        if threads is not None:
            torch.set_num_threads(threads)
        return cls(_load(path, kind, loading), str(path))

    @classmethod
    def of_module(cls, module: Any) -> TorchSource:
        """Take a `torch.nn.Module` in memory; a copy is made, and the module is left as it is.

        Raises:
            SourceError: If it cannot be copied, or holds NaN.
        """
        while type(module).__name__ in _WRAPPERS:
            module = getattr(module, _WRAPPERS[type(module).__name__])
        name = type(module).__name__
        try:
            copied = copy.deepcopy(module)
        # Modules may hold anything.
        except Exception as error:
            raise SourceError(
                f"{name}: cannot be copied ({error}); save model.state_dict(), and export that "
                "with --architecture"
            ) from error
        settled_copy, notes = settled(copied, name)
        suggested = suggestion_of_module(module)
        return cls(Network(module=settled_copy, notes=notes, suggested=suggested), name)

    def describe(self, stated: StatedInput) -> SourceDescription:
        """See `SourceModel.describe`."""
        torch = guest("torch", extra="torch")
        network = self._network
        height, width = self._size(stated)
        channels = network.channels or _first_channels(network.module) or stated.channels or 3
        found = probe(network.module, (channels, height, width), self._name)
        return SourceDescription(
            framework="pytorch",
            height=network.size[0] if network.size else None,
            width=network.size[1] if network.size else None,
            channels=channels,
            outputs=found.outputs,
            head=found.head,
            last_operation=found.last_operation,
            normalises=(),
            tools={"torch": torch.__version__.partition("+")[0], **network.tools},
            usual_preset="torch" if channels == 3 else "unit",
            suggested=network.suggested,
            notes=network.notes,
        )

    def outputs(self, values: FloatArray) -> FloatArray:
        """See `SourceModel.outputs`."""
        torch = guest("torch", extra="torch")
        images = torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2)))
        parts = images.split(1) if self._network.one_at_a_time else [images]
        with torch.inference_mode():
            rows = [self._network.module(part).numpy() for part in parts]
        return np.asarray(np.concatenate(rows), np.float32)

    def capture(self, path: Path, shape: tuple[int, int, int]) -> TorchProgram:
        """See `SourceModel.capture`."""
        network = self._network
        module = network.capturable(shape) if network.capturable else network.module
        return TorchProgram.write(module, shape, path.with_suffix(".pt2"))

    def _size(self, stated: StatedInput) -> tuple[int, int]:
        network = self._network
        published = network.suggested.size if network.suggested else None
        size = network.size or stated.size or published
        if size is None:
            raise UsageError(
                f"{self._name}: a PyTorch model does not say how large its images are; state it "
                "with --size, such as --size 224"
            )
        return size


def check_file(path: Path, loading: LoadOptions = NOTHING_STATED) -> FileKind:
    """Look at a file before torch is started for it.

    Raises:
        SourceError: If it is missing, damaged, no PyTorch file, or a pickle that would run code.
        UsageError: If an architecture is missing, or stated for a file that brings its network.
    """
    kind = kind_of(path)
    if kind in ("torchscript", "exported"):
        refuse_architecture(path, _CALLED[kind], loading)
    else:
        check_checkpoint(path, kind, loading)
    return kind


def is_torch_module(model: object) -> bool:
    """Whether an object is a `torch.nn.Module`, found without importing torch."""
    return any(
        f"{kind.__module__}.{kind.__qualname__}" == "torch.nn.modules.module.Module"
        for kind in type(model).mro()
    )


_CALLED: Final = {"torchscript": "a TorchScript archive", "exported": "a torch.export program"}


def _load(path: Path, kind: FileKind, loading: LoadOptions) -> Network:
    if kind == "torchscript":
        return load_torchscript(path)
    if kind == "exported":
        return load_exported(path)
    return load_checkpoint(path, kind, loading)


def _first_channels(module: Any) -> int | None:
    """What the first convolution takes; None in a network without one."""
    torch = guest("torch", extra="torch")
    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d):
            return int(part.in_channels)
    return None
