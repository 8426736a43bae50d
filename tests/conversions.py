"""Single conversions inside the test process, so that tests can change how they are done."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Final

from mobilecv.captures import Capture
from mobilecv.sources import SourceSession, wrap_model
from mobilecv.targets import TARGETS, Job
from mobilecv_runtime.spec import PRESETS, Contract, Head, ImageInput, Labels

_NUMBERS: Final = itertools.count()


class Conversions:
    """Of one Keras model with five labels, or of a file that it was saved in."""

    def __init__(self, model: Any, folder: Path, session: SourceSession | None = None) -> None:
        height, width, channels = model.input_shape[1:]
        self._image = ImageInput(height=height, width=width, channels=channels)
        self._folder = folder
        opened = session or SourceSession(wrap_model(model))
        self._capture: Capture = opened.capture(folder / "graph", self._image.shape)

    def convert(self, target: str) -> Path:
        """Write one artifact, in a folder of its own."""
        output = self._folder / str(next(_NUMBERS)) / TARGETS[target].file_name("net")
        output.parent.mkdir()
        job = Job(
            name="net",
            contract=Contract(
                image=self._image,
                preprocessing=PRESETS["tf"],
                head=Head(kind="softmax"),
                labels=Labels.numbered(5),
            ),
            capture=self._capture,
            base=None,
            calibration=None,
            output=output,
        )
        TARGETS[target].convert(job)
        return output
