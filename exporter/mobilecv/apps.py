"""Puts a bundle into the sample apps, and makes projects of them."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final
from xml.sax.saxutils import escape

from mobilecv.writing import FolderWriter, write_json
from mobilecv_runtime.bundle import Bundle
from mobilecv_runtime.errors import OutputError, UsageError
from mobilecv_runtime.heads import Head
from mobilecv_runtime.manifest import FILE_NAME, ArtifactEntry, Manifest

_KEPT: Final = ("README.md", ".gitkeep")
"""What stands in a model folder before there is a model."""
_EXPORT: Final = "mobilecv export"
_PROJECT_README: Final = "PROJECT.md"
"""The README of a project of its own, with `{name}` and `{files}` of its model. The sample app has
another one, which tells how to get a model and points into the repository."""
_NOT_COPIED: Final = (
    ".gradle", ".idea", ".build", "build", "xcuserdata", "DerivedData", ".DS_Store",
    "local.properties",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class AppKind:
    """One of the sample apps."""

    id: str
    """What `mobilecv app` calls it."""
    sources: str
    """Its folder in the repository, and in the package."""
    marker: str
    """A file or folder by which a project of this kind is known."""
    model_folder: str
    """Where a bundle goes, below the project."""
    suffixes: tuple[str, ...]
    """The kinds of artifact that it runs, the preferred one first."""
    holds_one: bool
    """Whether there is room for one artifact only: Xcode compiles `x.mlmodel` and `x.mlpackage`
    both to `x.mlmodelc`."""
    name_file: str
    """The file that holds the app's name."""
    name_entry: str
    """How the name stands in it, with `{}` for the name."""
    escaped: Callable[[str], str]
    """How a name is written there."""


def _in_property_list(name: str) -> str:
    """A quoted string of an old-style property list."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _in_android_resource(name: str) -> str:
    """The text of a string resource (developer.android.com, "String resources")."""
    text = escape(name.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"'))
    return f"\\{text}" if text.startswith(("@", "?")) else text


APPS: Final[Mapping[str, AppKind]] = {
    "ios": AppKind(
        id="ios",
        sources="ios_app",
        marker="Classifier.xcodeproj",
        model_folder="Model",
        suffixes=(".mlpackage", ".mlmodel"),
        holds_one=True,
        name_file="Classifier.xcodeproj/project.pbxproj",
        name_entry="INFOPLIST_KEY_CFBundleDisplayName = {};",
        escaped=_in_property_list,
    ),
    "android": AppKind(
        id="android",
        sources="android_app",
        marker="settings.gradle.kts",
        model_folder="app/src/main/assets",
        suffixes=(".tflite",),
        holds_one=False,
        name_file="app/src/main/res/values/strings.xml",
        name_entry='<string name="app_name">{}</string>',
        escaped=_in_android_resource,
    ),
}


@dataclass(frozen=True, kw_only=True)
class _Shipped:
    """A folder that comes with mobilecv."""

    name: str
    """In the installed package, and in projects."""
    in_repository: str


_VECTORS: Final = _Shipped(name="golden-pixels", in_repository="tests/golden/pixels")
"""What the tests of the apps' cores hold their pixels against."""
_LICENSE: Final = _Shipped(name="license", in_repository=".")
"""The folder with the file `LICENSE`, which goes along with the apps' code."""


@dataclass(frozen=True, kw_only=True)
class AppProject:
    """A project that was written for a bundle."""

    kind: AppKind
    folder: Path
    model_folder: Path
    artifacts: tuple[ArtifactEntry, ...]
    """Those of the bundle that the app holds."""

    @property
    def readme(self) -> Path:
        """How to open it."""
        return self.folder / "README.md"

    def to_json(self) -> dict[str, Any]:
        """The project as JSON values."""
        return {
            "app": self.kind.id,
            "project": str(self.folder),
            "model_folder": str(self.model_folder),
            "readme": str(self.readme),
            "artifacts": [{"id": entry.id, "file": entry.file} for entry in self.artifacts],
        }


def app_kind(project: Path) -> AppKind:
    """Which of the sample apps a folder holds.

    Raises:
        UsageError: If it holds none.
    """
    for kind in APPS.values():
        if (project / kind.marker).exists():
            return kind
    markers = " or ".join(kind.marker for kind in APPS.values())
    raise UsageError(f"{project}: no app of mobilecv's (there is no {markers} in it)")


def place_bundle(bundle: Bundle, project: Path) -> Path:
    """Put a bundle's files into an app, instead of those that were there.

    Args:
        bundle: What to put in; only the artifacts that the app can run are taken.
        project: A folder with one of the sample apps.

    Returns:
        The folder with the model.

    Raises:
        UsageError: If it is no app of ours, or the bundle holds nothing that it can run.
        OutputError: If it cannot be written, or holds files that did not come from a bundle.
    """
    kind = app_kind(project)
    entries = runnable(bundle, kind)
    folder = project / kind.model_folder
    with FolderWriter(folder, _check_replaceable) as writer:
        for name in _KEPT:
            if (folder / name).exists():
                shutil.copy2(folder / name, writer.folder / name)
        for entry in entries:
            _copy(bundle.file(entry), writer.folder / entry.file)
        _copy(bundle.path / "labels.txt", writer.folder / "labels.txt")
        golden = PurePosixPath(bundle.manifest.golden.file).parent
        _copy(bundle.path / golden, writer.folder / golden)
        manifest = _manifest_for_app(bundle.manifest, tuple(entries))
        write_json(writer.folder / FILE_NAME, manifest.to_json())
        writer.place()
    return folder


def write_app(kind: AppKind, bundle: Bundle, output: Path, *, force: bool = False) -> AppProject:
    """Write a project of its own for a bundle: the sample app with the model inside.

    Args:
        kind: Which app.
        bundle: The model.
        output: The project's folder.
        force: Replace an earlier project of this kind.

    Raises:
        UsageError: If the bundle holds nothing that the app can run.
        OutputError: If the folder exists without `force`, or is something else.
    """
    entries = tuple(runnable(bundle, kind))
    with FolderWriter(output, partial(_check_project_free, kind=kind, force=force)) as writer:
        shutil.copytree(
            app_sources(kind),
            writer.folder,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns(*_NOT_COPIED),
        )
        _empty(writer.folder / kind.model_folder)
        place_bundle(bundle, writer.folder)
        shutil.copytree(_shipped(_VECTORS, "cases.json"), writer.folder / _VECTORS.name)
        shutil.copy2(_shipped(_LICENSE, "LICENSE") / "LICENSE", writer.folder / "LICENSE")
        _write_readme(writer.folder, bundle.manifest.name, entries)
        _write_name(kind, writer.folder, bundle.manifest.name)
        _let_git_keep_the_model(kind, writer.folder)
        writer.place()
    return AppProject(
        kind=kind, folder=output, model_folder=output / kind.model_folder, artifacts=entries
    )


def app_sources(kind: AppKind) -> Path:
    """Where the sample app lies: in the installed package, or in a clone of the repository.

    Raises:
        OutputError: If it is in neither.
    """
    return _shipped(_Shipped(name=kind.sources, in_repository=kind.sources), kind.marker)


def _shipped(what: _Shipped, marker: str) -> Path:
    here = Path(__file__).parent
    for folder in (here / "app_sources" / what.name, here.parents[1] / what.in_repository):
        if (folder / marker).exists():
            return folder
    raise OutputError(f"{what.in_repository} is not installed with mobilecv; install it again")


def runnable(bundle: Bundle, kind: AppKind) -> list[ArtifactEntry]:
    """The artifacts of a bundle that go into an app.

    Raises:
        UsageError: If there is none, or the app cannot show what it answers.
    """
    check_showable(bundle.contract.head)
    found = [e for e in bundle.manifest.artifacts if Path(e.file).suffix in kind.suffixes]
    if not found:
        held = ", ".join(entry.id for entry in bundle.manifest.artifacts)
        raise UsageError(
            f"{bundle.path}: holds {held}, but the {kind.id} app runs "
            f"{' and '.join(kind.suffixes)}; export such a target too"
        )
    found.sort(key=lambda entry: kind.suffixes.index(Path(entry.file).suffix))
    return found[:1] if kind.holds_one else found


def check_showable(head: Head) -> None:
    """Refuse a model whose answers the apps cannot show.

    Raises:
        UsageError: If it gives plain values.
    """
    if head.answer == "values":
        raise UsageError(
            "the apps show labels with their probabilities, but this model is a regression; use "
            "its files in an app of your own"
        )


def _manifest_for_app(manifest: Manifest, artifacts: tuple[ArtifactEntry, ...]) -> Manifest:
    """The manifest with these artifacts only, and without the place of the source on this disk."""
    source = dataclasses.replace(manifest.source, path=None)
    return dataclasses.replace(manifest, artifacts=artifacts, source=source)


def _check_replaceable(folder: Path) -> None:
    if (folder / FILE_NAME).is_file() or not folder.exists():
        return
    strange = [path.name for path in folder.iterdir() if path.name not in _KEPT]
    if strange:
        raise OutputError(
            f"{folder}: holds {strange[0]}, which did not come from a bundle; move it away"
        )


def _check_project_free(output: Path, *, kind: AppKind, force: bool) -> None:
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not (output / kind.marker).exists():
        raise OutputError(f"{output}: exists and is no {kind.id} app; choose another -o")
    if not force:
        raise OutputError(f"{output}: exists already; replace it with --force, or choose -o")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)


def _empty(folder: Path) -> None:
    for path in folder.iterdir() if folder.exists() else ():
        if path.name in _KEPT:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _write_readme(project: Path, name: str, artifacts: tuple[ArtifactEntry, ...]) -> None:
    written = project / _PROJECT_README
    files = ", ".join(f"`{entry.file}`" for entry in artifacts)
    text = written.read_text("utf-8").replace("{name}", name).replace("{files}", files)
    (project / "README.md").write_text(text, encoding="utf-8")
    written.unlink()


def _write_name(kind: AppKind, project: Path, name: str) -> None:
    path = project / kind.name_file
    before, after = kind.name_entry.split("{}")
    entry = re.compile(re.escape(before) + ".*?" + re.escape(after))
    text = entry.sub(lambda _: before + kind.escaped(name) + after, path.read_text("utf-8"))
    path.write_text(text, encoding="utf-8")


def _let_git_keep_the_model(kind: AppKind, project: Path) -> None:
    """The sample app's own repository ignores models; the user's has one to keep."""
    path = project / ".gitignore"
    if path.exists():
        lines = path.read_text("utf-8").splitlines(keepends=True)
        kept = [line for line in lines if kind.model_folder not in line and _EXPORT not in line]
        path.write_text("".join(kept), encoding="utf-8")
