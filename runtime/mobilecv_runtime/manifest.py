"""The manifest `mobilecv.json`: what a bundle holds, field by field.

Its published JSON schema is `schema/mobilecv-1.schema.json` beside this module.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mobilecv_runtime.errors import BundleError, LabelsError
from mobilecv_runtime.spec import Contract, Labels

FILE_NAME: Final = "mobilecv.json"
FORMAT: Final = "mobilecv-bundle"
VERSION: Final = 1


@dataclass(frozen=True, kw_only=True)
class SourceEntry:
    """The trained model that a bundle was made from."""

    framework: str
    """`keras`, `pytorch`, or `tensorflow` for a SavedModel."""
    file: str
    """The name of the file, or of the in-memory model."""
    path: str | None
    """Where the file lay, relative to the bundle; None for a model that was in memory."""
    sha256: str | None
    """The digest of the file; None for a model that was in memory."""


@dataclass(frozen=True, kw_only=True)
class LoadingEntry:
    """What it takes to load the source again; in the file these are optional keys of `source`.

    A manifest may come from a stranger, so a reader must not run the code that is named here just
    because it is named.
    """

    architecture: str | None = None
    """Who builds the network that a file of weights belongs to, such as `timm:efficientnet_b0`; a
    Python file's path is relative to the bundle."""
    architecture_args: Mapping[str, Any] | None = None
    """Its keyword arguments."""
    architecture_sha256: str | None = None
    """The digest of that Python file."""
    allow_pickle: bool = False
    """Whether the file is a pickle whose code the user allowed to run."""
    allow_code: bool = False
    """Whether the file holds Python code of a Keras Lambda that the user allowed to run."""
    custom_objects: str | None = None
    """Which layers and functions a Keras file needs besides Keras' own, such as
    `my_layers.py:MyLayer`; a Python file's path is relative to the bundle."""
    custom_objects_sha256: str | None = None
    """The digest of that Python file."""

    def __post_init__(self) -> None:
        well_formed = (
            isinstance(self.architecture, str | None)
            and isinstance(self.architecture_args, Mapping | None)
            and isinstance(self.architecture_sha256, str | None)
            and isinstance(self.allow_pickle, bool)
            and isinstance(self.allow_code, bool)
            and isinstance(self.custom_objects, str | None)
            and isinstance(self.custom_objects_sha256, str | None)
        )
        if not well_formed:
            raise BundleError(f"{FILE_NAME} is damaged: the entry source has a value of wrong type")

    def to_json(self) -> dict[str, Any]:
        """The keys that say something."""
        return {key: value for key, value in vars(self).items() if value not in (None, False)}

    @classmethod
    def keys(cls) -> frozenset[str]:
        """Its keys in the file."""
        return frozenset(field.name for field in dataclasses.fields(cls))


@dataclass(frozen=True, kw_only=True)
class GoldenEntry:
    """The prepared images of a bundle, and the source's scores on them."""

    origin: str
    """`photos` of the user's, or generated `patterns`."""
    file: str
    """The JSON file with the images' names and the source's scores, relative to the bundle."""
    sha256: str
    """Digest of that file; it holds the digests of the images."""


@dataclass(frozen=True, kw_only=True)
class CalibrationEntry:
    """The photos whose value ranges an int8 artifact rests on."""

    images: int
    sha256: str
    """Digest of the prepared pixels, in order."""
    found: int | None = None
    """How many photos the folder held; None in manifests of before this was kept."""
    folders: int | None = None
    """Over how many sub-folders (classes) the images are spread; 0 where there were none."""
    findings: tuple[Mapping[str, Any], ...] = ()
    """What weakens the ranges: `kind`, `severity`, `message`, `share`."""
    coverage: Mapping[str, Any] | None = None
    """How far the ranges still moved between half of the images and all of them: `images`,
    `median`, `worst`, `worst_tensor`; None if that was not measured."""

    def to_json(self) -> dict[str, Any]:
        """The keys that say something."""
        values = {**vars(self), "findings": [dict(finding) for finding in self.findings]}
        return {key: value for key, value in values.items() if value not in (None, [])}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CalibrationEntry:
        """Read what `to_json` wrote."""
        return cls(**{**data, "findings": tuple(data.get("findings", ()))})


@dataclass(frozen=True, kw_only=True)
class ArtifactEntry:
    """One exported file."""

    id: str
    """The target it is of, such as `tflite-int8`."""
    file: str
    """Its path relative to the bundle."""
    bytes: int
    sha256: str
    """Of the file; of a `.mlpackage` folder the digest over its files' names and digests."""
    precision: str
    minimum_runtime: str
    """The oldest runtime that reads it, such as `iOS 15`."""
    input: Mapping[str, Any]
    """`name`, `dtype`, `layout`, and for quantised inputs `scale` and `zero_point`."""
    output: Mapping[str, Any]
    """`name`, `dtype`."""
    parity: Mapping[str, Any]
    """The verdict at export time, on the golden images."""
    census: Mapping[str, Any] | None = None
    """What the file's arithmetic is; see `mobilecv_runtime.census.Census.record`. None for formats
    that are not counted, and in manifests of before this was kept."""

    rescue: Mapping[str, Any] | None = None
    """What was done to make an int8 file agree with its float twin; None if nothing had to be."""

    def to_json(self) -> dict[str, Any]:
        """The entry as JSON values; an optional key only where it says something."""
        return {key: value for key, value in vars(self).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything that `mobilecv.json` says."""

    name: str
    contract: Contract
    labels_origin: str
    """Where the labels came from; `numbered` when the model had none."""
    labels_sha256: str
    source: SourceEntry
    golden: GoldenEntry
    calibration: CalibrationEntry | None
    tools: Mapping[str, str]
    """Name and version of every package that had a hand in it."""
    artifacts: tuple[ArtifactEntry, ...]
    left_out: Mapping[str, str]
    """Targets that were asked for with `all` or failed, and why they are not here."""
    loading: LoadingEntry = LoadingEntry()

    def to_json(self) -> dict[str, Any]:
        """The manifest as JSON values."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "name": self.name,
            **self.contract.to_json(),
            "labels": {
                "file": "labels.txt",
                "count": len(self.contract.labels),
                "origin": self.labels_origin,
                "sha256": self.labels_sha256,
            },
            "source": {**vars(self.source), **self.loading.to_json()},
            "golden": vars(self.golden),
            "calibration": self.calibration.to_json() if self.calibration else None,
            "tools": dict(sorted(self.tools.items())),
            "artifacts": [artifact.to_json() for artifact in self.artifacts],
            "left_out": dict(self.left_out),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], labels: bytes) -> Manifest:
        """Read what `to_json` wrote.

        Args:
            data: The parsed `mobilecv.json`.
            labels: The bytes of `labels.txt`.

        Raises:
            BundleError: If it is another kind of file, of a later version, or damaged.
        """
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            raise BundleError(f"{FILE_NAME} is not the manifest of a mobilecv bundle")
        if data.get("version") != VERSION:
            raise BundleError(
                f"{FILE_NAME} is of version {data.get('version')}, this mobilecv reads {VERSION}; "
                "update mobilecv, or export the model again"
            )
        try:
            calibration = data["calibration"]
            source, loading = _split(data["source"], LoadingEntry.keys())
            return cls(
                name=data["name"],
                contract=Contract.from_json(data, Labels.parse(labels, origin="labels.txt")),
                labels_origin=data["labels"]["origin"],
                labels_sha256=data["labels"]["sha256"],
                source=SourceEntry(**source),
                loading=LoadingEntry(**loading),
                golden=GoldenEntry(**data["golden"]),
                calibration=CalibrationEntry.from_json(calibration) if calibration else None,
                tools=data["tools"],
                artifacts=tuple(ArtifactEntry(**entry) for entry in data["artifacts"]),
                left_out=data["left_out"],
            )
        except (KeyError, TypeError) as error:
            raise BundleError(f"{FILE_NAME} is damaged: {error}") from error
        except LabelsError as error:
            raise BundleError(str(error)) from error


def _split(entry: Mapping[str, Any], keys: frozenset[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """An entry without some keys, and with only those."""
    return (
        {key: value for key, value in entry.items() if key not in keys},
        {key: value for key, value in entry.items() if key in keys},
    )
