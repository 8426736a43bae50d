"""Writes a folder so that it is there as a whole, or not at all."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from PIL import Image

from mobilecv_runtime.digests import digest_of
from mobilecv_runtime.errors import OutputError
from mobilecv_runtime.manifest import FILE_NAME, GoldenEntry, Manifest
from mobilecv_runtime.spec import FloatArray, Labels, UInt8Array

_PARTIAL_MARK = ".mobilecv-partial-"
_REPLACED_MARK = "-replaced"
GOLDEN_FILE = "golden/golden.json"


class FolderWriter:
    """A folder beside the folder-to-be that takes its place at the end.

    Used as a context manager: without a `place`, the folder vanishes and an earlier one is left as
    it was. One that a killed process left behind is removed by the next one.
    """

    def __init__(self, output: Path, check: Callable[[Path], None]) -> None:
        """Start beside the output.

        Args:
            output: The folder-to-be.
            check: Raises OutputError if what is there may not be replaced. Called when the
                leftovers of killed processes have been cleared up.

        Raises:
            OutputError: By `check`, or if the parent folder cannot be written.
        """
        self.output = output
        _remove_leftovers(output)
        check(output)
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            prefix = f".{output.name}{_PARTIAL_MARK}{os.getpid()}-"
            self.folder = Path(tempfile.mkdtemp(prefix=prefix, dir=output.parent))
        except OSError as error:
            raise OutputError(
                f"{output}: cannot be written ({error.strerror}); choose another place with -o"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        if isinstance(error, OSError):  # Such as a full disk.
            raise OutputError(
                f"{self.output}: could not be written ({error.strerror or error}); nothing was "
                "left behind"
            ) from error

    def place(self) -> None:
        """Put the folder in its place, instead of what is there.

        Raises:
            OutputError: If the place cannot be taken.
        """
        self.folder.chmod(0o755)
        aside = self.output.with_name(self.folder.name + _REPLACED_MARK)
        try:
            if self.output.exists():
                self.output.rename(aside)
            self.folder.rename(self.output)
        except OSError as error:
            if aside.exists() and not self.output.exists():
                aside.rename(self.output)
            raise OutputError(f"{self.output}: cannot be replaced ({error.strerror})") from error
        shutil.rmtree(aside, ignore_errors=True)


class BundleWriter(FolderWriter):
    """A bundle in the making."""

    def __init__(self, output: Path, *, force: bool) -> None:
        """Make sure that the output may be written, and start beside it.

        Raises:
            OutputError: If it exists without `force`, is something else than a bundle, or its
                parent folder cannot be written.
        """
        super().__init__(output, partial(_check_free, force=force))
        self.work = self.folder / ".work"
        """For files that do not go into the bundle."""
        self.work.mkdir()

    def write_labels(self, labels: Labels) -> str:
        """Write `labels.txt`; its digest."""
        path = self.folder / "labels.txt"
        path.write_bytes(labels.to_bytes())
        return digest_of(path)

    def write_golden(self, pixels: UInt8Array, scores: FloatArray, origin: str) -> GoldenEntry:
        """Write the golden images as PNG, and the source's scores on them."""
        path = self.folder / GOLDEN_FILE
        path.parent.mkdir()
        images = []
        for number, (image, row) in enumerate(zip(pixels, scores, strict=True)):
            file = path.parent / f"{number:03}.png"
            Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file)
            images.append(
                {
                    "file": file.name,
                    "sha256": digest_of(file),
                    # The shortest decimal that is this very float32.
                    "scores": [float(str(value)) for value in row.astype(np.float32)],
                }
            )
        write_json(path, {"images": images})
        return GoldenEntry(origin=origin, file=GOLDEN_FILE, sha256=digest_of(path))

    def commit(self, manifest: Manifest) -> None:
        """Write the manifest and put the folder in its place.

        Raises:
            OutputError: If the place cannot be taken.
        """
        shutil.rmtree(self.work)
        write_json(self.folder / FILE_NAME, manifest.to_json())
        self.place()


def _remove_leftovers(output: Path) -> None:
    """Clear up behind exports that were killed, and give back a bundle that one had set aside."""
    for folder in output.parent.glob(f".{output.name}{_PARTIAL_MARK}*"):
        process = folder.name.partition(_PARTIAL_MARK)[2].partition("-")[0]
        if not process.isdecimal() or _is_running(int(process)):
            continue
        if folder.name.endswith(_REPLACED_MARK) and not output.exists():
            folder.rename(output)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _check_free(output: Path, *, force: bool) -> None:
    if output.is_dir() and (
        not any(output.iterdir()) or ((output / FILE_NAME).is_file() and force)
    ):
        return
    if (output / FILE_NAME).is_file():
        raise OutputError(f"{output}: exists already; replace it with --force, or choose -o")
    if output.exists():
        raise OutputError(f"{output}: exists and is no mobilecv bundle; choose another -o")


def _is_running(process: int) -> bool:
    if sys.platform == "win32":
        return True  # There, os.kill(process, 0) would interrupt it.
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_json(path: Path, data: Any) -> None:
    """Write JSON for people to read, ending with a line break."""
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
