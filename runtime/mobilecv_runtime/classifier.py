"""Photo in, labels out: the shortest way to use an artifact."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mobilecv_runtime.bundle import Bundle
from mobilecv_runtime.errors import BundleError, MissingDependencyError
from mobilecv_runtime.images import prepare
from mobilecv_runtime.runners import RUNNERS, ArtifactRunner, open_runner
from mobilecv_runtime.spec import Contract


@dataclass(frozen=True)
class Prediction:
    """One label with its probability."""

    label: str
    probability: float
    """0..1."""


class Classifier:
    """An exported classifier, ready for photos.

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

    def classify(self, photo: str | Path | Image.Image, *, top: int = 5) -> list[Prediction]:
        """Name what is on a photo.

        Args:
            photo: An image file, or a Pillow image.
            top: How many labels to give.

        Returns:
            The most probable labels, the best first.

        Raises:
            ImageError: If the photo cannot be decoded.
        """
        pixels = prepare(photo, self.contract.image)
        scores = self._runner.scores(pixels[None])[0]
        order = np.argsort(-scores, kind="stable")[:top]
        names = self.contract.labels.names
        return [Prediction(names[index], float(scores[index])) for index in order]


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
