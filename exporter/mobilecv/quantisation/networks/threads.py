"""How many threads an engine gets to run a network on calibration photos."""

from __future__ import annotations

import os


def usable_threads() -> int:
    """As many as there are cores for this process."""
    if hasattr(os, "sched_getaffinity"):  # Not on macOS and Windows.
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
