"""Names that test modules import by hand, since fixtures cannot be imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
DIGITS = ROOT / "models" / "digits.h5"

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
