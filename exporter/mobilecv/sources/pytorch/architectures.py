"""The user's word for who builds a network, and its building."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobilecv.sources.base import SuggestedInput
from mobilecv.sources.pytorch import zoo
from mobilecv.sources.user_code import importing_from, run_file, told
from mobilecv_runtime.errors import MobileCVError, SourceError, UsageError, guest


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A constructor by name, `place:name`."""

    place: str
    """`torchvision.models`, `timm`, a `.py` file, or a package's module."""
    name: str

    @classmethod
    def parse(cls, text: str) -> Architecture:
        """Read `place:name`.

        Raises:
            UsageError: If it is of another form.
        """
        # From the right: a Windows path has a colon too.
        place, _, name = text.rpartition(":")
        words = name.replace("-", "_").split(".")
        if not place or not all(word and not word[0].isspace() for word in words):
            raise UsageError(
                f"--architecture {text!r}: expected torchvision.models:NAME, timm:NAME, "
                "my_model.py:FUNCTION or package.module:FUNCTION"
            )
        return cls(place=place, name=name)

    def __str__(self) -> str:
        return f"{self.place}:{self.name}"

    @property
    def is_published(self) -> bool:
        """Whether it comes from one of the collections that mobilecv knows."""
        return self.place in zoo.ZOOS

    @property
    def file(self) -> Path | None:
        """The Python file that it names; None if it names a module."""
        return Path(self.place) if self.place.endswith(".py") else None

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Look for what is wrong before torch is started.

        Raises:
            UsageError: If its file is missing, or an argument would fetch weights.
        """
        if self.file is not None and not self.file.is_file():
            raise UsageError(f"--architecture {self}: {self.file}: no such file")
        if self.is_published:
            zoo.check_arguments(self.place, arguments)

    def build(self, arguments: Mapping[str, Any], folder: Path) -> Any:
        """Make the `torch.nn.Module`.

        Args:
            arguments: What the constructor is called with.
            folder: Where imports of the user's own modules start.

        Raises:
            UsageError: If there is no such constructor.
            SourceError: If it fails, or gives something else.
        """
        torch = guest("torch", extra="torch")
        start = self.file.resolve().parent if self.file else folder
        with importing_from(start):
            try:
                module = self._call(arguments)
            except MobileCVError:
                raise
            # The user's own code raises anything.
            except Exception as error:
                raise SourceError(f"--architecture {self}: {told(error, start)}") from error
        if not isinstance(module, torch.nn.Module):
            raise SourceError(
                f"--architecture {self}: gave a {type(module).__name__}; expected a function or "
                "class that gives a torch.nn.Module"
            )
        return module

    def suggestion(self) -> SuggestedInput | None:
        """What its collection says about the input; None for the user's own code."""
        return zoo.suggestion(self.place, self.name) if self.is_published else None

    def tools(self) -> dict[str, str]:
        """Name and version of the collection."""
        return zoo.version(self.place) if self.is_published else {}

    def _call(self, arguments: Mapping[str, Any]) -> Any:
        if self.is_published:
            return zoo.build(self.place, self.name, arguments)
        found: Any = run_file(self.file) if self.file else importlib.import_module(self.place)
        offered = [name for name, value in vars(found).items() if _is_offered(name, value)]
        for word in self.name.split("."):
            found = getattr(found, word, None)
        if not callable(found):
            what = "is no function or class" if found is not None else "is not there"
            raise UsageError(
                f"--architecture {self}: {self.name!r} {what}; callable in {self.place} are: "
                f"{', '.join(offered) or 'none'}"
            )
        return found(**arguments)


def _is_offered(name: str, value: Any) -> bool:
    return callable(value) and not name.startswith("_")
