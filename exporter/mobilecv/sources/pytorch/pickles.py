"""What a pickle would import, read without unpickling it."""

from __future__ import annotations

import io
import pickletools
import re
from collections.abc import Iterable, Iterator
from typing import Final

_STRINGS: Final = frozenset(
    {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "SHORT_BINSTRING", "BINSTRING"}
)
_STORED: Final = frozenset({"BINPUT", "LONG_BINPUT", "PUT"})
_FETCHED: Final = frozenset({"BINGET", "LONG_BINGET", "GET"})
# torch.serialization._legacy_save: magic number, protocol, system, object, names of the storages;
# then the tensors' bytes.
_PICKLES_OF_A_LEGACY_FILE: Final = 5
_UNKNOWN: Final = "a name that it computes"

_TENSORS: Final = re.compile(
    r"torch\._utils\._rebuild_\w+|torch(\.storage)?\.\w*Storage|torch\.(Size|device|Tensor)"
    r"|torch\.(b?float|u?int|complex|q?u?int)\d*|torch\.(bool|half|double|long)"
    r"|torch\.nn\.parameter\.(Parameter|Buffer)"
    r"|torch\.serialization\._get_layout|torch\._tensor\._rebuild_from_type_v2"
    r"|collections\.(OrderedDict|defaultdict)|(builtins|__builtin__)\.set|_codecs\.encode"
)
_HARMLESS: Final = re.compile(
    r"numpy\.dtype|numpy\.(_core|core)\.multiarray\.scalar|numpy\.dtypes\.\w+"
    r"|argparse\.Namespace"
)


def imported_names(pickle: bytes) -> tuple[str, ...]:
    """The dotted names that one or several pickles in a row would import, each once.

    It follows what `pickle.Pickler` writes. A pickle made by hand can hide a name from it, so this
    is for telling people, never for deciding what is safe to unpickle; that is torch's own
    unpickler's part (`weights_only=True`), which imports nothing that is not on its list.

    Raises:
        ValueError: If it is no pickle, or truncated.
    """
    return tuple(dict.fromkeys(_names(pickle)))


def classes_beyond_tensors(names: Iterable[str]) -> tuple[str, ...]:
    """Those names that neither tensors and containers nor harmless values need."""
    return tuple(
        name for name in names if not (_TENSORS.fullmatch(name) or _HARMLESS.fullmatch(name))
    )


def _names(data: bytes) -> Iterator[str]:
    stream = io.BytesIO(data)
    for _ in range(_PICKLES_OF_A_LEGACY_FILE):
        memo: dict[int, str | None] = {}
        strings: list[str | None] = []
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name in ("GLOBAL", "INST"):
                yield str(argument).replace(" ", ".")
            elif opcode.name == "STACK_GLOBAL":
                module, name = strings[-2:] if len(strings) > 1 else (None, None)
                yield f"{module}.{name}" if module and name else _UNKNOWN
            elif opcode.name in _STRINGS:
                strings.append(str(argument))
            elif opcode.name == "MEMOIZE":
                memo[len(memo)] = strings[-1] if strings else None
            elif opcode.name in _STORED and argument is not None:
                memo[int(argument)] = strings[-1] if strings else None
            elif opcode.name in _FETCHED and argument is not None:
                strings.append(memo.get(int(argument)))
        if stream.tell() == len(data):
            return
