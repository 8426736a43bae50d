"""State dicts: found in a checkpoint, renamed for the network, and loaded without a rest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mobilecv_runtime.errors import SourceError, guest

NESTED_UNDER: Final = (
    "state_dict", "model_state_dict", "model_state", "model", "module", "net", "network",
    "weights", "params", "state_dict_ema", "model_ema", "ema", "ema_state_dict",
)  # fmt: skip
"""The entries of a checkpoint in which people keep it, the plain weights before their averages."""

_PREFIX: Final = re.compile(r"^(module|model|_orig_mod|net|network|backbone|encoder|ema)\.")
_COUNTER: Final = ".num_batches_tracked"
_SHOWN: Final = 4


@dataclass(frozen=True, kw_only=True)
class StateDict:
    """Named tensors."""

    tensors: Mapping[str, Any]
    place: str
    """The entry of the checkpoint that they are nested under; empty at the top."""
    others: tuple[str, ...]
    """Entries that hold state dicts too."""
    prefix: str = ""
    """What has been taken off every name."""
    outside: tuple[str, ...] = ()
    """Names without that prefix."""

    @classmethod
    def find(cls, checkpoint: Any, name: str) -> StateDict:
        """The state dict in what `torch.load` gave.

        Raises:
            SourceError: If there is none; the message says what is there.
        """
        found = dict(state_dicts_in(checkpoint))
        if not found:
            raise SourceError(f"{name}: holds no state dict; {_contents(checkpoint)}")
        place, *others = found
        return cls(tensors=found[place], place=place, others=tuple(others))

    def named_for(self, network: Any) -> StateDict:
        """The same tensors, without the prefix that their names have and the network's have not.

        `torch.nn.DataParallel` puts `module.` before every name, Lightning most often `model.`,
        `torch.compile` `_orig_mod.`; also several of them.
        """
        wanted = network.state_dict().keys()
        candidates = ["", *known_prefixes(self.tensors)]
        # max takes the first of equals, so the shorter prefix.
        prefix = max(candidates, key=lambda prefix: len(_below(self.tensors, prefix) & wanted))
        return StateDict(
            tensors={
                key.removeprefix(prefix): value
                for key, value in self.tensors.items()
                if key.startswith(prefix)
            },
            place=self.place,
            others=self.others,
            prefix=prefix,
            outside=tuple(key for key in self.tensors if not key.startswith(prefix)),
        )

    def load_into(self, network: Any, name: str, architecture: str) -> None:
        """Fill a network; every one of its parameters comes from here, and nothing is left over.

        Batch normalisation's `num_batches_tracked` may be missing or spare: it counts training
        steps and plays no part in answers.

        Raises:
            SourceError: If names are missing, unexpected, or of another shape.
        """
        torch = guest("torch", extra="torch")
        wanted = network.state_dict()
        missing = [key for key in wanted if key not in self.tensors and not _counts(key)]
        unexpected = [key for key in self.tensors if key not in wanted and not _counts(key)]
        if missing or unexpected:
            raise SourceError(
                f"{name}: its weights are not those of {architecture}: "
                f"{_listed('missing', missing)}, {_listed('unexpected', unexpected)}; check "
                "--architecture and --architecture-args"
            )
        shared = {key: value for key, value in self.tensors.items() if key in wanted}
        _check_shapes(shared, wanted, name, architecture)
        with torch.no_grad():
            for key, value in shared.items():
                wanted[key].copy_(value)

    def notes(self) -> Iterator[str]:
        """What was decided on the way here, for people."""
        if self.place:
            spare = f" (not from {', '.join(map(repr, self.others))})" if self.others else ""
            yield f"weights: taken from {self.place!r}{spare}"
        if self.prefix:
            yield f"weights: the prefix {self.prefix!r} of their names was taken off"
        if self.outside:
            yield f"weights: {_listed('outside that prefix', self.outside)} left out"
        halves = Counter(
            str(tensor.dtype).removeprefix("torch.")
            for tensor in self.tensors.values()
            if tensor.is_floating_point() and str(tensor.dtype) != "torch.float32"
        )
        for dtype, count in halves.items():
            yield f"weights: {count} tensors in {dtype} were cast to float32"


def state_dicts_in(entry: Any, place: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where state dicts are kept in a checkpoint, as `model.state_dict`, with their tensors."""
    if not isinstance(entry, Mapping):
        return
    if _is_state_dict(entry):
        yield place, {key: value for key, value in entry.items() if _is_tensor(value)}
        return
    for key in NESTED_UNDER:
        if key in entry:
            yield from state_dicts_in(entry[key], f"{place}.{key}" if place else key)


def _is_state_dict(entry: Mapping[Any, Any]) -> bool:
    """Tensors only, but for what modules add under `_extra_state`."""
    rest = [key for key, value in entry.items() if not _is_tensor(value)]
    return len(rest) < len(entry) and all(str(key).endswith("_extra_state") for key in rest)


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "numel")  # torch's tensors, and what stands for them in an outline


def _contents(checkpoint: Any) -> str:
    if not isinstance(checkpoint, Mapping):
        return f"it holds a {type(checkpoint).__name__}"
    shown = [f"{key} ({type(value).__name__})" for key, value in checkpoint.items()]
    return f"its entries are {', '.join(shown[:8]) or 'none'}"


def known_prefixes(tensors: Mapping[str, Any]) -> Iterator[str]:
    """Every chain of known prefixes that some name begins with, the shortest first."""
    found = set()
    for key in tensors:
        prefix = ""
        while match := _PREFIX.match(key.removeprefix(prefix)):
            prefix += match[0]
            found.add(prefix)
    yield from sorted(found, key=len)


def _below(tensors: Mapping[str, Any], prefix: str) -> set[str]:
    return {key.removeprefix(prefix) for key in tensors if key.startswith(prefix)}


def _counts(key: str) -> bool:
    return key.endswith(_COUNTER)


def _listed(what: str, names: list[str] | tuple[str, ...]) -> str:
    if not names:
        return f"none {what}"
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return f"{len(names)} {what} ({shown})"


def _check_shapes(
    tensors: Mapping[str, Any], wanted: Mapping[str, Any], name: str, architecture: str
) -> None:
    differing = [key for key, value in tensors.items() if value.shape != wanted[key].shape]
    if not differing:
        return
    told = [
        f"{key} is {_size(tensors[key])} in the file and {_size(wanted[key])} in the network"
        for key in differing
    ]
    more = f" (and {len(told) - _SHOWN} more)" if len(told) > _SHOWN else ""
    raise SourceError(
        f"{name}: does not fit {architecture}: {', '.join(told[:_SHOWN])}{more}; "
        f"{_advice(differing, tensors, wanted)}"
    )


def _advice(differing: list[str], tensors: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Only the first size of a last layer differs: another number of classes."""
    counts = {tensors[key].shape[0] for key in differing if tensors[key].shape}
    only_first = all(tensors[key].shape[1:] == wanted[key].shape[1:] for key in differing)
    if only_first and len(counts) == 1 and len({wanted[key].shape[0] for key in differing}) == 1:
        return f"""pass --architecture-args '{{"num_classes": {counts.pop()}}}'"""
    return "check --architecture and --architecture-args"


def _size(tensor: Any) -> str:
    return "x".join(map(str, tensor.shape)) or "a single value"
