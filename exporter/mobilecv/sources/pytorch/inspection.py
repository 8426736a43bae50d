"""Looks into PyTorch files without starting torch and without running what they hold."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from mobilecv.sources.pytorch.checkpoints import foreign_names
from mobilecv.sources.pytorch.files import (
    FileKind,
    entries,
    kind_of,
    read_entry,
    read_pickle,
    read_safetensors_header,
)
from mobilecv.sources.pytorch.outlines import Foreign, TensorOutline, outline, tensors_in
from mobilecv.sources.pytorch.state_dicts import known_prefixes, state_dicts_in
from mobilecv_runtime.errors import SourceError
from mobilecv_runtime.inspection import Inspection

# How TorchScript's printed code calls an operation, and what it prints besides.
_CALL: Final = re.compile(r"\b(?:torch|ops\.aten)\.(\w+)\(")
_SAFETENSORS_TYPES: Final = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64",
    "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
# torch._export.serde.schema.ScalarType
_EXPORTED_TYPES: Final = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32",
    8: "float64", 12: "bool", 13: "bfloat16",
}  # fmt: skip


def inspect_torch(path: Path) -> Inspection:
    """Read names, shapes and operations of a PyTorch file.

    Raises:
        SourceError: If it is missing, damaged, or no PyTorch file.
    """
    kind = kind_of(path)
    try:
        if kind == "exported":
            return _exported(path)
        if kind == "safetensors":
            return _safetensors(path)
        return _torchscript(path) if kind == "torchscript" else _checkpoint(path, kind)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise SourceError(f"{path}: damaged ({error})") from error


def _checkpoint(path: Path, kind: FileKind) -> Inspection:
    content = outline(read_pickle(path), legacy=kind == "legacy")
    written = " of torch before 1.6" if kind == "legacy" else ""
    imports = foreign_names(path)
    metadata = {"would import": ", ".join(imports)} if imports else {}
    found = dict(state_dicts_in(content))
    if not found:
        what = type(content).dotted_name if isinstance(content, Foreign) else type(content).__name__
        # Tensors that a module shares are kept once.
        return _told(path, f"PyTorch pickle{written}: {what}", tensors_in(content), {}, metadata)
    place = next(iter(found))
    if place:
        metadata = {"nested under": place, **metadata}
    return _of_state_dict(path, f"PyTorch state dict{written}", found[place], metadata)


def _safetensors(path: Path) -> Inspection:
    tensors = {
        name: TensorOutline(
            _SAFETENSORS_TYPES.get(entry["dtype"], str(entry["dtype"]).lower()),
            tuple(entry["shape"]),
        )
        for name, entry in read_safetensors_header(path).items()
    }
    return _of_state_dict(path, "safetensors state dict", tensors, {})


def _of_state_dict(
    path: Path, format_: str, tensors: Mapping[str, Any], metadata: dict[str, str]
) -> Inspection:
    common = [
        prefix for prefix in known_prefixes(tensors) if all(n.startswith(prefix) for n in tensors)
    ]
    if common:
        metadata = {"prefix": common[-1], **metadata}
    names = list(tensors)
    first, last = names[0], names[-1]
    metadata = {
        "tensors": f"{len(names)}, from {first} to {last} ({_size(tensors[last])})",
        **metadata,
    }
    return _told(path, format_, tensors.values(), {}, metadata)


def _torchscript(path: Path) -> Inspection:
    content = outline(read_entry(path, "data.pkl"), legacy=False)
    code = "".join(
        read_entry(path, name).decode()
        for name in entries(path)
        if name.startswith("code/") and name.endswith(".py")
    )
    return _told(path, "TorchScript", tensors_in(content), Counter(_CALL.findall(code)), {})


def _exported(path: Path) -> Inspection:
    program = json.loads(read_entry(path, "models/model.json"))
    weights = json.loads(read_entry(path, "data/weights/model_weights_config.json"))["config"]
    tensors = [
        TensorOutline(
            _EXPORTED_TYPES.get(entry["tensor_meta"]["dtype"], "unknown"),
            tuple(size["as_int"] for size in entry["tensor_meta"]["sizes"]),
        )
        for entry in weights.values()
    ]
    graph = program["graph_module"]["graph"]
    operations = Counter(node["target"].removeprefix("torch.ops.") for node in graph["nodes"])
    version = program.get("torch_version", "unknown")
    return _told(path, f"torch.export program, torch {version}", tensors, operations, {})


def _told(
    path: Path,
    format_: str,
    tensors: Iterable[Any],
    operations: Mapping[str, int],
    metadata: Mapping[str, str],
) -> Inspection:
    sizes: Counter[str] = Counter()
    for tensor in tensors:
        sizes[tensor.dtype] += tensor.numel()
    return Inspection(
        file=str(path),
        format=format_,
        bytes=path.stat().st_size,
        inputs=[],
        outputs=[],
        labels=None,
        contract=None,
        operations=dict(Counter(operations).most_common()),
        data_types=dict(sizes.most_common()),
        parameters=sum(sizes.values()),
        metadata=metadata,
    )


def _size(tensor: Any) -> str:
    return "x".join(map(str, tensor.shape)) or "one value"
