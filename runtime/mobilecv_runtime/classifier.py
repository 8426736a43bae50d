"""Photo in, labels out: the shortest way to use an artifact."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from mobilecv_runtime.agreement import THRESHOLD
from mobilecv_runtime.bundle import Bundle
from mobilecv_runtime.errors import BundleError, MissingDependencyError, UsageError
from mobilecv_runtime.images import prepare
from mobilecv_runtime.runners import RUNNERS, ArtifactRunner, open_runner
from mobilecv_runtime.spec import Contract, FloatArray

_TOP: Final = 5


@dataclass(frozen=True)
class Prediction:
    """One label with its probability."""

    label: str
    probability: float
    """0..1."""


@dataclass(frozen=True)
class Value:
    """One value of a regression with its name."""

    name: str
    value: float


class Classifier:
    """An exported classifier or regression, ready for photos.

    ```
    Classifier("digits-mobilecv").classify("photo.jpg")
    ```
    """

    def __init__(self, path: str | Path, *, artifact: str | None = None, threads: int = 1) -> None:
        """Open a bundle or a single artifact.

        Args:
            path: A bundle folder, or an artifact that mobilecv exported; the artifact alone is
                enough, since it carries labels and preprocessing.
            artifact: Which one of a bundle, by id or file name; by default the first that an
                installed engine runs.
            threads: How many threads one inference may use.

        Raises:
            BundleError: If it is damaged, or an artifact of foreign make.
            MissingDependencyError: If the engine is not installed.
        """
        path = Path(path)
        if path.suffix.lower() in RUNNERS:
            self.artifact, self._runner = path.name, open_runner(path, threads=threads)
        else:
            bundle = Bundle.open(path)
            self.artifact, self._runner = _open_from_bundle(bundle, artifact, threads)
        if self._runner.contract is None:
            raise BundleError(
                f"{path}: carries no mobilecv contract, so its labels and preprocessing are "
                "unknown; classify with a file that mobilecv exported"
            )
        self.contract: Contract = self._runner.contract
        """Image size, preprocessing, head and labels."""

    @property
    def gives_values(self) -> bool:
        """Whether it is a regression: then ask for `values`, not to `classify`."""
        return self.contract.head.answer == "values"

    def classify(
        self, photo: str | Path | Image.Image, *, top: int | None = None
    ) -> list[Prediction]:
        """Name what is on a photo.

        Args:
            photo: An image file, or a Pillow image.
            top: How many labels to give; by default 5, or with labels that stand by themselves
                those with a probability of 0.5 and more.

        Returns:
            The most probable labels, the best first.

        Raises:
            ImageError: If the photo cannot be decoded.
            UsageError: If it gives values instead of labels.
        """
        if self.gives_values:
            raise UsageError(f"{self.artifact}: a regression has no labels; ask for its values")
        scores = self._scores(photo)
        order = np.argsort(-scores, kind="stable")
        if top is None and self.contract.head.answer == "labels":
            top = int((scores >= THRESHOLD).sum())
        names = self.contract.labels.names
        kept = order[: _TOP if top is None else top]
        return [Prediction(names[index], float(scores[index])) for index in kept]

    def values(self, photo: str | Path | Image.Image) -> list[Value]:
        """What a regression says of a photo, in the order of its outputs.

        Args:
            photo: An image file, or a Pillow image.

        Raises:
            ImageError: If the photo cannot be decoded.
            UsageError: If it gives labels instead of values.
        """
        if not self.gives_values:
            raise UsageError(f"{self.artifact}: a classifier gives labels; let it classify")
        named = zip(self.contract.labels.names, self._scores(photo), strict=True)
        return [Value(name, float(value)) for name, value in named]

    def _scores(self, photo: str | Path | Image.Image) -> FloatArray:
        pixels = prepare(photo, self.contract.image)
        scores: FloatArray = self._runner.scores(pixels[None])[0]
        return scores


def _open_from_bundle(
    bundle: Bundle, wanted: str | None, threads: int
) -> tuple[str, ArtifactRunner]:
    if wanted is not None:
        entry = bundle.artifact(wanted)
        return entry.id, open_runner(bundle.file(entry), threads=threads)
    reasons = []
    for entry in bundle.manifest.artifacts:
        try:
            return entry.id, open_runner(bundle.file(entry), threads=threads)
        except MissingDependencyError as error:
            reasons.append(f"{entry.id}: {error}")
    raise MissingDependencyError(f"{bundle.path}: no artifact runs here ({'; '.join(reasons)})")
