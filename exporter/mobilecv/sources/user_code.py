"""Runs the user's own Python files and modules, and tells what went wrong there in one line."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType


@contextmanager
def importing_from(folder: Path) -> Iterator[None]:
    """While this context lasts, imports look into a folder first."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with suppress(ValueError):  # The user's code may have taken it out.
            sys.path.remove(str(folder))


def run_file(file: Path) -> ModuleType:
    """Run a Python file of the user's as a module."""
    # A name of its own: `resnet.py` must not hide an installed package of that name.
    name = f"mobilecv_user_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up
    spec.loader.exec_module(module)
    return module


def told(error: Exception, folder: Path) -> str:
    """An exception of the user's code in one line, with the deepest place in their own files."""
    message = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}: {message}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    return f"{own[-1].filename}, line {own[-1].lineno}: {message}" if own else message
