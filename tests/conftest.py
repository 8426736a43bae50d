"""What several test modules share: the demo model, its photos, and one full export of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from filelock import FileLock
from xdist.scheduler import LoadScopeScheduling

from tests_shared import DIGITS, ROOT, Cli, run_cli

DIVIDED: Final = {"test_export.py", "test_failures.py", "test_torch_cli.py"}
"""Modules whose tests may run in several processes."""

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"


class _Scheduler(LoadScopeScheduling):
    """Gives each module to one process, and the slow tests that share nothing to any.

    These come last, so that all processes end together.
    """

    def _split_scope(self, nodeid: str) -> str:
        module, *_ = nodeid.partition("::")
        return nodeid if Path(module).name in DIVIDED else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Scheduler:
    """Choose the way in which tests are dealt out to processes."""
    return _Scheduler(config, log)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """`mobilecv` in an empty folder."""
    return lambda *words, cwd=tmp_path: run_cli(*words, cwd=cwd)


@pytest.fixture(scope="session")
def digits_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `test/<label>/*.png` and `calibration/<label>/*.png`."""
    folder = tmp_path_factory.mktemp("digits")
    script = ROOT / "models" / "digits_images.py"
    subprocess.run([sys.executable, script, folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, worker_id: str, digits_photos: Path) -> Path:
    """The demo model exported to every target, by one of the processes; do not write into it."""
    own = tmp_path_factory.getbasetemp()
    # As deep as a test's own folder, so that the way from a copy to the source is the same.
    shared = own if worker_id == "master" else own.parent / "shared"
    shared.mkdir(exist_ok=True)
    folder = shared / "exported"
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            folder.mkdir()
            photos = digits_photos / "calibration"
            done = run_cli("export", DIGITS, "--calibration", photos, "--to", "all", cwd=folder)
            assert done.returncode == 0, done.stdout + done.stderr
    return folder / "digits-mobilecv"


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Path:
    """A copy of the exported bundle that a test may spoil."""
    copy = tmp_path / "digits-mobilecv"
    shutil.copytree(exported, copy)
    return copy
