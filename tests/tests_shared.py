"""Names that test modules import by hand, since fixtures cannot be imported."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
DIGITS = ROOT / "models" / "digits.h5"

NEVER_USED = ("jax", "matplotlib", "pandas", "sklearn", "transformers")
"""What frameworks import if it is there: without, a process starts in half the time."""
BESIDE_KERAS = (*NEVER_USED, "torch")
BESIDE_TORCH = (*NEVER_USED, "keras", "tensorflow")
BESIDE_PROTOBUFS = (*BESIDE_KERAS, *BESIDE_TORCH)

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def run_cli(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `mobilecv` as a user does; the caller looks at code, stdout and stderr."""
    return subprocess.run(
        [sys.executable, "-m", "mobilecv", *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def run_script(
    script: Path, *words: object, without: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, in which some packages cannot be imported."""
    code = (
        "import runpy, sys\n"
        f"sys.modules.update(dict.fromkeys({tuple(without)}))\n"
        f"sys.argv[0] = {str(script)!r}\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def instance(module: str, name: str) -> object:
    """An object of a class that is imported only now, in the process that holds it."""
    return getattr(importlib.import_module(module), name)()
