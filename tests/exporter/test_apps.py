"""Bundles in the sample apps: `export --app`, and `mobilecv app`."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest

from mobilecv.apps import APPS, AppKind, app_sources, place_bundle, write_app
from mobilecv.pipeline import _put_into
from mobilecv_runtime import Bundle
from mobilecv_runtime.errors import OutputError, UsageError
from mobilecv_runtime.parity import Verdict
from tests_shared import DIGITS, ROOT, Cli

KINDS = pytest.mark.parametrize("kind", APPS.values(), ids=lambda kind: kind.id)


def sample(kind: AppKind, folder: Path) -> Path:
    """A copy of a sample app as it stands in the repository, without a model."""
    shutil.copytree(app_sources(kind), folder)
    for path in (folder / kind.model_folder).iterdir():
        if path.name != "README.md":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


@KINDS
def test_a_project_holds_a_bundle_of_its_own(
    kind: AppKind, exported: Path, cli: Cli, tmp_path: Path
) -> None:
    done = cli("app", kind.id, exported, "-o", "project")
    assert done.returncode == 0, done.stderr
    project = tmp_path / "project"
    placed = Bundle.open(project / kind.model_folder)
    original = Bundle.open(exported)
    assert placed.manifest.artifacts
    assert all(Path(entry.file).suffix in kind.suffixes for entry in placed.manifest.artifacts)
    ids = [entry.id for entry in placed.manifest.artifacts]
    assert ids == ["mlpackage"] if kind.holds_one else len(ids) == 4
    assert placed.contract == original.contract
    assert placed.manifest.source.path is None
    assert (placed.golden.scores == original.golden.scores).all()
    assert "digits" in (project / kind.name_file).read_text()
    assert (project / "golden-pixels" / "cases.json").is_file()
    readme = (project / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("# An ")
    assert f"app for {original.manifest.name}\n" in readme
    assert all(f"`{entry.file}`" in readme for entry in placed.manifest.artifacts)
    assert not re.search(r"[{}]|\.\./|tests/", readme)
    assert not (project / "PROJECT.md").exists()
    assert (project / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    ignored = project / ".gitignore"
    assert not ignored.exists() or kind.model_folder not in ignored.read_text()


@KINDS
def test_the_project_is_told_as_json(
    kind: AppKind, exported: Path, cli: Cli, tmp_path: Path
) -> None:
    done = cli("app", kind.id, exported, "-o", "project", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["app"] == kind.id
    assert told["project"] == "project"
    assert told["model_folder"] == str(Path("project") / kind.model_folder)
    assert told["readme"] == str(Path("project") / "README.md")
    placed = Bundle.open(tmp_path / told["model_folder"]).manifest.artifacts
    assert told["artifacts"] == [{"id": entry.id, "file": entry.file} for entry in placed]


@KINDS
def test_a_name_is_written_as_the_file_wants_it(
    kind: AppKind, bundle: Path, tmp_path: Path
) -> None:
    name = """Tom & Jerry's <"pets">"""
    manifest = json.loads((bundle / "mobilecv.json").read_text())
    manifest["name"] = name
    (bundle / "mobilecv.json").write_text(json.dumps(manifest))
    write_app(kind, Bundle.open(bundle), tmp_path / "app")
    text = (tmp_path / "app" / kind.name_file).read_text()
    if kind.id == "android":
        (entry,) = [e for e in ET.fromstring(text) if e.get("name") == "app_name"]
        assert entry.text == """Tom & Jerry\\'s <\\"pets\\">"""
    else:
        assert 'CFBundleDisplayName = "Tom & Jerry\'s <\\"pets\\">";' in text


def test_an_export_goes_straight_into_the_apps_and_replaces_the_last_one(
    cli: Cli, tmp_path: Path
) -> None:
    android, ios = APPS["android"], APPS["ios"]
    sample(android, tmp_path / "android")
    sample(ios, tmp_path / "ios")
    for extra in ([], ["--force"]):
        done = cli("export", DIGITS, "--to", "tflite,mlpackage", "--app", "android", "--app", "ios",
                   *extra)  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "Put into android." in done.stdout
        for project, kind, id_ in (("android", android, "tflite"), ("ios", ios, "mlpackage")):
            folder = tmp_path / project / kind.model_folder
            assert [e.id for e in Bundle.open(folder).manifest.artifacts] == [id_]
            assert (folder / "README.md").is_file()


def test_a_file_that_differs_from_its_source_is_not_put_into_an_app(
    exported: Path, tmp_path: Path
) -> None:
    project = sample(APPS["android"], tmp_path / "android")
    bundle = Bundle.open(exported)
    verdicts = {entry.id: Verdict(outcome="agrees") for entry in bundle.manifest.artifacts}
    verdicts["tflite-int8"] = Verdict(outcome="differs", reasons=("labels",))
    assert _put_into(project, bundle, verdicts) == "tflite-int8 differs from its source"
    assert not (project / APPS["android"].model_folder / "mobilecv.json").exists()


def test_what_is_no_app_or_no_bundle_for_it_is_refused(
    exported: Path, bundle: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no app of mobilecv's"):
        place_bundle(Bundle.open(exported), tmp_path)
    manifest = json.loads((bundle / "mobilecv.json").read_text())
    manifest["artifacts"] = [a for a in manifest["artifacts"] if a["id"] == "onnx"]
    (bundle / "mobilecv.json").write_text(json.dumps(manifest))
    with pytest.raises(
        UsageError, match=r"holds onnx, but the ios app runs \.mlpackage and \.mlmodel"
    ):
        write_app(APPS["ios"], Bundle.open(bundle), tmp_path / "app")
    assert not (tmp_path / "app").exists()


@pytest.mark.parametrize(
    ("held", "taken"),
    [
        (["mlpackage-int8", "coreml", "mlpackage"], "mlpackage"),
        (["coreml", "mlpackage-int8", "onnx"], "mlpackage-int8"),
        (["onnx", "coreml"], "coreml"),
    ],
)
def test_the_ios_app_takes_the_most_exact_package(
    held: list[str], taken: str, exported: Path, tmp_path: Path
) -> None:
    bundle = Bundle.open(exported)
    entries = tuple(entry for entry in bundle.manifest.artifacts if entry.id in held)
    fewer = dataclasses.replace(bundle.manifest, artifacts=entries)
    app = write_app(APPS["ios"], Bundle(bundle.path, fewer), tmp_path / "app")
    assert [entry.id for entry in app.artifacts] == [taken]
    placed = Bundle.open(app.model_folder)
    assert placed.file(placed.artifact(taken)).exists()


def test_nothing_of_the_users_is_replaced(exported: Path, tmp_path: Path) -> None:
    bundle, kind = Bundle.open(exported), APPS["android"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(OutputError, match="is no android app"):
        write_app(kind, bundle, tmp_path / "mine", force=True)
    write_app(kind, bundle, tmp_path / "app")
    with pytest.raises(OutputError, match="replace it with --force"):
        write_app(kind, bundle, tmp_path / "app")
    assets = tmp_path / "app" / kind.model_folder
    (assets / "mobilecv.json").unlink()
    with pytest.raises(OutputError, match="did not come from a bundle"):
        place_bundle(bundle, tmp_path / "app")


def test_the_wheel_brings_the_apps(tmp_path: Path) -> None:
    """Built as pip builds it."""
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = zipfile.ZipFile(wheel).namelist()
    for kind in APPS.values():
        assert any(
            n.startswith(f"mobilecv/app_sources/{kind.sources}/{kind.marker}") for n in names
        )
    assert "mobilecv/app_sources/golden-pixels/cases.json" in names
    assert "mobilecv/app_sources/android_app/gradlew" in names
    assert "mobilecv/app_sources/license/LICENSE" in names
    assert not any("/build/" in name or "/.gradle/" in name for name in names)
