"""Every error that mobilecv raises on purpose, each with the exit code of the command line.

```
MobileCVError
├── UsageError               2  a wrong option or value
│   └── LabelsError          2  labels that do not fit the model or each other
├── SourceError              3  the trained model cannot be read or is no image classifier
├── ConversionError          4  a converter failed, crashed or gave an unusable file
├── MissingDependencyError   5  a package that this step needs is not installed
├── BundleError              6  a bundle or artifact is damaged, altered or foreign
├── ImageError               7  a photo cannot be decoded
├── OutputError              8  the output exists already or cannot be written
└── WorkerError              9  a child process died or gave no answer
```

Exit code 0 means that all agrees, 1 that a parity check failed, 70 (`EX_SOFTWARE` of sysexits.h)
a defect in mobilecv itself and 130 an interrupt with Ctrl-C.
"""

from __future__ import annotations

import importlib
from typing import Any, ClassVar, Final

EXIT_AGREES: Final = 0
EXIT_PARITY_FAILED: Final = 1
EXIT_DEFECT: Final = 70
EXIT_INTERRUPTED: Final = 130


class MobileCVError(Exception):
    """What was found, what was expected and what to do now, in one line."""

    exit_code: ClassVar[int] = EXIT_DEFECT


class UsageError(MobileCVError):
    """An option or a value that cannot be right."""

    exit_code = 2


class LabelsError(UsageError):
    """Labels that do not fit the model, or not each other."""


class SourceError(MobileCVError):
    """A trained model that cannot be read, or that is no image classifier."""

    exit_code = 3


class ConversionError(MobileCVError):
    """A converter that failed, crashed or wrote an unusable file."""

    exit_code = 4


class MissingDependencyError(MobileCVError):
    """A package that this step needs and that is not installed."""

    exit_code = 5


class BundleError(MobileCVError):
    """A bundle or an artifact that is damaged, altered or not ours."""

    exit_code = 6


class ImageError(MobileCVError):
    """A photo that cannot be decoded."""

    exit_code = 7


class OutputError(MobileCVError):
    """An output that exists already, or that cannot be written."""

    exit_code = 8


class WorkerError(MobileCVError):
    """A child process that died, hung or failed in an unforeseen way."""

    exit_code = 9


def guest(module: str, *, extra: str) -> Any:
    """Import a framework, or say which extra of mobilecv brings it.

    Args:
        module: The dotted name, for example `ai_edge_litert.interpreter`.
        extra: The extra of the `mobilecv` distribution that installs it.

    Raises:
        MissingDependencyError: If that very package is absent. An import error from inside an
            installed package is passed on as it is.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise MissingDependencyError(
            f"{package} is not installed; install it with: pip install 'mobilecv[{extra}]'"
        ) from error


def in_one_line(error: BaseException) -> str:
    """What a framework's error says first, and what comes next where that only announces it.

    Returns:
        300 characters at most; the name of its type if it says nothing.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    shown = lines[:2] if lines and lines[0].endswith(":") else lines[:1]
    return " ".join(shown)[:300] or type(error).__name__
