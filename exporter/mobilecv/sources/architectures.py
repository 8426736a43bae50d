"""The user's word for who builds a network, and its building."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from mobilecv.sources.base import SuggestedInput
from mobilecv.sources.keras import applications
from mobilecv.sources.pytorch import zoo
from mobilecv.sources.user_code import importing_from, run_file, told
from mobilecv_runtime.errors import MobileCVError, SourceError, UsageError

CONFIG_SUFFIXES: Final = (".json", ".yaml", ".yml")
"""Of the files in which Keras keeps a network without its weights."""


class Collection(Protocol):
    """Published networks that a bundle may name without the user's leave."""

    FRAMEWORK: str
    """What its networks are built with."""

    def check_arguments(self, place: str, arguments: Mapping[str, Any]) -> None:
        """Refuse arguments that would fetch or open a file."""

    def build(self, place: str, name: str, arguments: Mapping[str, Any]) -> Any:
        """Make a network of random weights."""

    def suggestion(self, place: str, name: str) -> SuggestedInput | None:
        """What is published about the network's input."""

    def version(self, place: str) -> dict[str, str]:
        """The collection's distribution and version."""


COLLECTIONS: Final[Mapping[str, Collection]] = {
    **dict.fromkeys(zoo.ZOOS, zoo),
    applications.PLACE: applications,
}
"""The published collections, by their place."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A constructor by name, `place:name`, or a file with a Keras config."""

    place: str
    """`torchvision.models`, `timm`, `keras.applications`, a `.py` file, a package's module, or a
    config file."""
    name: str
    """Empty for a config file."""

    @classmethod
    def parse(cls, text: str) -> Architecture:
        """Read `place:name`, or the name of a config file.

        Raises:
            UsageError: If it is of another form.
        """
        if text.lower().endswith(CONFIG_SUFFIXES):
            return cls(place=text, name="")
        # From the right: a Windows path has a colon too.
        place, _, name = text.rpartition(":")
        words = name.replace("-", "_").split(".")
        if not place or not all(word and not word[0].isspace() for word in words):
            raise UsageError(
                f"--architecture {text!r}: expected torchvision.models:NAME, timm:NAME, "
                "keras.applications:NAME, my_model.py:FUNCTION, package.module:FUNCTION or, for "
                "Keras, model.json"
            )
        return cls(place=place, name=name)

    def __str__(self) -> str:
        return f"{self.place}:{self.name}" if self.name else self.place

    @property
    def is_published(self) -> bool:
        """Whether it comes from one of the collections that mobilecv knows."""
        return self.place in COLLECTIONS

    @property
    def is_config(self) -> bool:
        """Whether it is a Keras config, which names layers and brings no code."""
        return not self.name

    @property
    def runs_code(self) -> bool:
        """Whether building it runs code of the user's."""
        return not self.is_published and not self.is_config

    @property
    def file(self) -> Path | None:
        """The file that it names; None if it names a module."""
        return Path(self.place) if self.is_config or self.place.endswith(".py") else None

    def check(self, arguments: Mapping[str, Any], framework: str) -> None:
        """Look for what is wrong before a framework is started.

        Args:
            arguments: What the constructor will be called with.
            framework: What the file of weights is of, `keras` or `pytorch`.

        Raises:
            UsageError: If its file is missing, it is of another framework, or an argument would
                fetch weights.
        """
        if self.file is not None and not self.file.is_file():
            raise UsageError(f"--architecture {self}: {self.file}: no such file")
        if self.is_config and arguments:
            raise UsageError(f"--architecture-args: a config takes none, and {self} is one")
        collection = COLLECTIONS.get(self.place)
        builds = collection.FRAMEWORK if collection else "keras" if self.is_config else framework
        if builds != framework:
            raise UsageError(
                f"--architecture {self}: builds a network of {builds}, but the weights are of "
                f"{framework}"
            )
        if collection is not None:
            collection.check_arguments(self.place, arguments)

    def build(self, arguments: Mapping[str, Any], folder: Path) -> Any:
        """Call the constructor; a config is read by `mobilecv.sources.keras.configs`.

        Args:
            arguments: What the constructor is called with.
            folder: Where imports of the user's own modules start.

        Returns:
            What it gives: a network, if the user named the right one.

        Raises:
            UsageError: If there is no such constructor.
            SourceError: If it fails.
        """
        start = self.file.resolve().parent if self.file else folder
        with importing_from(start):
            try:
                return self._call(arguments)
            except MobileCVError:
                raise
            # The user's own code raises anything.
            except Exception as error:
                raise SourceError(f"--architecture {self}: {told(error, start)}") from error

    def suggestion(self) -> SuggestedInput | None:
        """What its collection says about the input; None for the user's own code."""
        collection = COLLECTIONS.get(self.place)
        return collection.suggestion(self.place, self.name) if collection else None

    def tools(self) -> dict[str, str]:
        """Name and version of the collection."""
        collection = COLLECTIONS.get(self.place)
        return collection.version(self.place) if collection else {}

    def _call(self, arguments: Mapping[str, Any]) -> Any:
        if self.is_published:
            return COLLECTIONS[self.place].build(self.place, self.name, arguments)
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
