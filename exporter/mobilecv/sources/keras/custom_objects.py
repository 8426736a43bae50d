"""The user's word for layers and functions that Keras does not know, and their import."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobilecv.sources.user_code import importing_from, run_file, told
from mobilecv_runtime.errors import MobileCVError, SourceError, UsageError


@dataclass(frozen=True, kw_only=True)
class CustomObjects:
    """Classes and functions by name, `place:Name,Other`."""

    place: str
    """A `.py` file, or a package's module."""
    names: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> CustomObjects:
        """Read `place:Name,Other`.

        Raises:
            UsageError: If it is of another form.
        """
        # From the right: a Windows path has a colon too.
        place, _, listed = text.rpartition(":")
        names = tuple(name.strip() for name in listed.split(","))
        if not place or not all(name.isidentifier() for name in names):
            raise UsageError(
                f"--custom-objects {text!r}: expected my_layers.py:MyLayer,Other or "
                "package.module:MyLayer"
            )
        return cls(place=place, names=names)

    def __str__(self) -> str:
        return f"{self.place}:{','.join(self.names)}"

    @property
    def file(self) -> Path | None:
        """The Python file that it names; None if it names a module."""
        return Path(self.place) if self.place.endswith(".py") else None

    def check(self) -> None:
        """Look for what is wrong before Keras is started.

        Raises:
            UsageError: If its file is missing.
        """
        if self.file is not None and not self.file.is_file():
            raise UsageError(f"--custom-objects {self}: {self.file}: no such file")

    def load(self, folder: Path) -> dict[str, Any]:
        """Import them.

        Args:
            folder: Where imports of the user's own modules start.

        Raises:
            UsageError: If one is not there.
            SourceError: If their module fails.
        """
        start = self.file.resolve().parent if self.file else folder
        with importing_from(start):
            try:
                found = run_file(self.file) if self.file else importlib.import_module(self.place)
            except MobileCVError:
                raise
            # The user's own code raises anything.
            except Exception as error:
                raise SourceError(f"--custom-objects {self}: {told(error, start)}") from error
        missing = [name for name in self.names if not callable(getattr(found, name, None))]
        if missing:
            raise UsageError(
                f"--custom-objects {self}: {', '.join(missing)} is no class or function of "
                f"{self.place}"
            )
        return {name: getattr(found, name) for name in self.names}
