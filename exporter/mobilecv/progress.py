"""Who is told how a long piece of work goes; silent by default."""

from __future__ import annotations

from typing import Final, Protocol


class Progress(Protocol):
    """An observer of a journey; each method may do nothing."""

    def note(self, text: str) -> None:
        """Something that the user should know, such as an assumption."""

    def begin(self, step: str) -> None:
        """A step starts."""

    def within(self, step: str, text: str) -> None:
        """How far a step is, in a few words that the next ones replace."""

    def end(self, step: str, outcome: str, seconds: float) -> None:
        """A step is over."""


class _Silent:
    """An observer that does nothing."""

    def note(self, text: str) -> None:
        """Ignore it."""

    def begin(self, step: str) -> None:
        """Ignore it."""

    def within(self, step: str, text: str) -> None:
        """Ignore it."""

    def end(self, step: str, outcome: str, seconds: float) -> None:
        """Ignore it."""


SILENT: Final = _Silent()
"""The default observer."""
