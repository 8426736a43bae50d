"""The outline of a checkpoint: names, shapes and types, unpickled without importing anything."""

from __future__ import annotations

import io
import math
import pickle
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_OBJECT_OF_A_LEGACY_FILE: Final = 3
"""torch.serialization._legacy_save writes magic number, protocol and system before it."""
# As torch.storage names the storages of its types.
_DTYPES: Final = {
    "FloatStorage": "float32", "DoubleStorage": "float64", "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16", "LongStorage": "int64", "IntStorage": "int32",
    "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8", "BoolStorage": "bool",
}  # fmt: skip


@dataclass(frozen=True)
class TensorOutline:
    """What stands for a tensor."""

    dtype: str
    shape: tuple[int, ...]

    def numel(self) -> int:
        """How many values it holds."""
        return math.prod(self.shape)


class Foreign:
    """What stands for an object of a class that is not imported."""

    dotted_name = ""

    def __new__(cls, *arguments: Any, **named: Any) -> Foreign:
        """Take whatever the class would have taken."""
        made = super().__new__(cls)
        made.parts = [*arguments, *named.values()]
        return made

    def __init__(self, *_: Any, **__: Any) -> None:
        """All is done in `__new__`, which unpickling calls alone."""
        self.parts: list[Any]

    def __setstate__(self, state: Any) -> None:
        self.parts.append(state)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.parts.append({key: value})

    def append(self, value: Any) -> None:
        """As a list's."""
        self.parts.append(value)

    def extend(self, values: Any) -> None:
        """As a list's."""
        self.parts.extend(values)


def outline(data: bytes, *, legacy: bool) -> Any:
    """What a checkpoint holds, with outlines for its tensors and everything that it would import.

    Args:
        data: The pickle, or the whole of a legacy file.
        legacy: Whether it is a legacy file.

    Raises:
        ValueError: If it is damaged.
    """
    stream = io.BytesIO(data)
    try:
        for _ in range(_OBJECT_OF_A_LEGACY_FILE if legacy else 0):
            _Outliner(stream).load()
        return _Outliner(stream).load()
    # A damaged pickle raises almost anything.
    except Exception as error:
        raise ValueError(f"its pickle cannot be read: {error}") from error


def tensors_in(value: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """Every tensor's outline below a value, each object looked at once."""
    seen = set() if seen is None else seen
    if isinstance(value, TensorOutline):
        yield value
    elif id(value) not in seen:
        seen.add(id(value))
        for each in _inner(value):
            yield from tensors_in(each, seen)


def _inner(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, list | tuple):
        return list(value)
    return value.parts if isinstance(value, Foreign) else []


class _Outliner(pickle.Unpickler):
    """Imports nothing: whatever a pickle names becomes something inert."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name.startswith("_rebuild_tensor"):
            return _tensor
        if module == "torch._utils" and name.startswith("_rebuild_parameter"):
            return _first
        if module.startswith("torch") and name in _DTYPES:
            return _DTYPES[name]
        return type(name, (Foreign,), {"dotted_name": f"{module}.{name}"})

    def persistent_load(self, identifier: Any) -> Any:
        """`("storage", type, key, location, count)`: its type is all that is needed."""
        return identifier[1]


def _tensor(storage: Any, _: Any, shape: Any, *__: Any) -> TensorOutline:
    return TensorOutline(str(storage), tuple(int(size) for size in shape))


def _first(data: Any, *_: Any) -> Any:
    return data
