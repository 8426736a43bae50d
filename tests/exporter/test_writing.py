from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mobilecv.writing import BundleWriter
from mobilecv_runtime.errors import OutputError, UsageError


def fill_the_disk(output: Path) -> None:
    with BundleWriter(output, force=False) as writer:
        (writer.folder / "half").write_text("written")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    output = tmp_path / "bundle"
    with pytest.raises(OutputError, match=r"could not be written \(No space left"):
        fill_the_disk(output)
    assert not any(tmp_path.iterdir())


def test_our_own_errors_pass_through_and_leave_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="a wrong option"),
        BundleWriter(tmp_path / "bundle", force=False),
    ):
        raise UsageError("a wrong option")
    assert not any(tmp_path.iterdir())


def test_a_bundle_that_a_killed_export_had_set_aside_comes_back(tmp_path: Path) -> None:
    gone = 2**22 + 1  # Above the largest process number of Linux.
    aside = tmp_path / f".bundle.mobilecv-partial-{gone}-x-replaced"
    aside.mkdir()
    (aside / "mobilecv.json").write_text("{}")
    with pytest.raises(OutputError, match="exists already"):
        BundleWriter(tmp_path / "bundle", force=False)
    assert (tmp_path / "bundle" / "mobilecv.json").read_text() == "{}"
