"""Which kind of PyTorch file a file is, told by its content before torch is started."""

from __future__ import annotations

import json
import re
import struct
import zipfile
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from mobilecv.sources.pytorch.pickles import imported_names
from mobilecv_runtime.errors import SourceError

FileKind: TypeAlias = Literal["torchscript", "exported", "checkpoint", "legacy", "safetensors"]

SUFFIXES: Final = (".pt", ".pth", ".th", ".ckpt", ".bin", ".pt2", ".ts", ".safetensors")

_EXPECTED: Final = (
    "expected a state dict (torch.save or safetensors), a TorchScript archive or a torch.export "
    "program"
)
# torch.serialization.MAGIC_NUMBER as a pickle of protocol 2: what torch.save began with until 1.6.
_LEGACY_START: Final = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_HEADER: Final = struct.Struct("<Q")
# TorchScript's two operations that touch other files (aten::save, aten::from_file).
_FILE_OPERATIONS: Final = re.compile(rb"\btorch\.(save|from_file)\(")


def kind_of(path: Path) -> FileKind:
    """Look at a file's beginning, and at a zip archive's table of contents.

    Raises:
        SourceError: If it is missing, empty, truncated, or nothing that PyTorch writes.
    """
    if path.is_dir():
        raise SourceError(f"{path}: a folder; {_EXPECTED}")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise SourceError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from error
    if size == 0:
        raise SourceError(f"{path}: the file is empty; copy it again")
    if start.startswith(b"PK"):
        return _kind_of_archive(path)
    if start.startswith(b"\x89HDF"):
        raise SourceError(f"{path}: an HDF5 file, as Keras writes them; rename it to end in .h5")
    if start.startswith(_LEGACY_START):
        return _checked_legacy(path)
    if start[8:9] == b"{" or path.suffix.lower() == ".safetensors":
        read_safetensors_header(path)
        return "safetensors"
    if start.startswith(b"\x80"):
        raise SourceError(f"{path}: a pickle, but none that torch.save wrote; {_EXPECTED}")
    raise SourceError(f"{path}: not a PyTorch file; {_EXPECTED}")


def entries(path: Path) -> dict[str, zipfile.ZipInfo]:
    """A zip archive's files by their names below its one folder.

    Raises:
        SourceError: If it is truncated or holds a name twice.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise SourceError(
            f"{path}: truncated or damaged (a zip archive, but {error}); copy it again"
        ) from error
    found = {info.filename.partition("/")[2] or info.filename: info for info in listed}
    if len(found) != len(listed):
        raise SourceError(f"{path}: damaged (its zip archive holds a name twice)")
    return found


def read_entry(path: Path, name: str) -> bytes:
    """One file of a zip archive; `name` is below the archive's one folder.

    Raises:
        SourceError: If it is missing or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(entries(path)[name])
    except (KeyError, zipfile.BadZipFile, OSError, ValueError) as error:
        raise SourceError(f"{path}: damaged ({error}); copy it again") from error


def read_pickle(path: Path) -> bytes:
    """The pickle of a `checkpoint`; of a `legacy` file its whole content."""
    return path.read_bytes() if kind_of(path) == "legacy" else read_entry(path, "data.pkl")


def read_safetensors_header(path: Path) -> dict[str, Any]:
    """Name -> `dtype`, `shape`, `data_offsets`, without `__metadata__`.

    The format: https://huggingface.co/docs/safetensors (8 bytes of length, JSON, the tensors).

    Raises:
        SourceError: If it is truncated, or no such file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(_HEADER.size)
        length = _HEADER.unpack(start)[0] if len(start) == _HEADER.size else size
        text = file.read(length) if length < size else b""
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except (ValueError, AttributeError, KeyError, TypeError, IndexError) as error:
        raise SourceError(f"{path}: truncated, or not a PyTorch file; {_EXPECTED}") from error
    if _HEADER.size + length + end != size:
        raise SourceError(
            f"{path}: truncated or damaged (its header speaks of {end} bytes of tensors, there "
            f"are {size - _HEADER.size - length}); copy it again"
        )
    return dict(header)


def _kind_of_archive(path: Path) -> FileKind:
    names = entries(path)
    if any(name.startswith("code/") for name in names):
        _refuse_file_operations(path)
        return "torchscript"
    if any(name.startswith("models/") and name.endswith(".json") for name in names):
        return "exported"
    if "serialized_exported_program.json" in names:
        raise SourceError(
            f"{path}: a torch.export program of a torch before 2.8; load it there, or export the "
            "network anew, and save it again with torch.export.save"
        )
    if "data.pkl" in names:
        return "checkpoint"
    if "config.json" in names:
        raise SourceError(f"{path}: a Keras archive; rename it to end in .keras")
    if names and all(name.endswith(".npy") for name in names):
        raise SourceError(f"{path}: a numpy archive (.npz), not a PyTorch file; {_EXPECTED}")
    raise SourceError(f"{path}: a zip archive, but nothing that PyTorch writes; {_EXPECTED}")


def _refuse_file_operations(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.filename.endswith(".py"):
                continue
            found = _FILE_OPERATIONS.search(archive.read(info))
            if found:
                raise SourceError(
                    f"{path}: its TorchScript calls torch.{found[1].decode()}, which reads or "
                    "writes other files; an image classifier has no need to"
                )


def _checked_legacy(path: Path) -> FileKind:
    try:
        imported_names(path.read_bytes())
    except ValueError as error:
        raise SourceError(f"{path}: truncated or damaged ({error}); copy it again") from error
    return "legacy"
