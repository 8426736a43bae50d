"""A bundle names the code that builds its source; only the user's own word makes that code run."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from mobilecv.reopening import loading_of, recorded
from mobilecv.sources import LoadOptions, StatedInput, open_session, trust
from mobilecv.sources.architectures import Architecture
from mobilecv.writing import BundleWriter
from mobilecv_runtime.bundle import Bundle
from mobilecv_runtime.digests import digest_of
from mobilecv_runtime.errors import BundleError
from mobilecv_runtime.manifest import LoadingEntry, Manifest, SourceEntry
from mobilecv_runtime.spec import Contract, Head, ImageInput, Labels, Preprocessing
from tests_shared import Cli

NOTHING = LoadOptions()
CONTRACT = Contract(
    image=ImageInput(height=12, width=10, channels=3),
    preprocessing=Preprocessing(),
    head=Head(kind="logits"),
    labels=Labels.numbered(4),
)


@pytest.fixture(autouse=True)
def _empty_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(trust.STATE_VARIABLE, str(tmp_path / "state"))


@pytest.fixture
def project(torch_files: Path, tmp_path: Path) -> Path:
    """A user's folder with a file of weights, the code of its network, and a pickled module."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("nets.py", "plain.pt", "module.pt"):
        shutil.copy(torch_files / name, folder)
    return folder


def bundled(project: Path, name: str, loading: LoadOptions, folder: str = "bundle") -> Bundle:
    """What an export of that file leaves, but for its artifacts."""
    source, output = project / name, project / folder
    pixels = np.arange(8 * 360, dtype=np.uint32).astype(np.uint8).reshape(8, 12, 10, 3)
    session = open_session(source, loading)
    assert session.describe(StatedInput(size=(12, 10))).outputs == 4
    with BundleWriter(output, force=False) as writer:
        golden = writer.write_golden(pixels, session.scores(pixels, CONTRACT), "patterns")
        writer.commit(
            Manifest(
                name="plain",
                contract=CONTRACT,
                labels_origin="numbered",
                labels_sha256=writer.write_labels(CONTRACT.labels),
                source=SourceEntry(
                    framework="pytorch", file=name, path=f"../{name}", sha256=digest_of(source)
                ),
                golden=golden,
                calibration=None,
                tools={},
                artifacts=(),
                left_out={},
                loading=recorded(loading, output),
            )
        )
    return Bundle.open(output)


def by_file(project: Path) -> LoadOptions:
    return LoadOptions(architecture=f"{project / 'nets.py'}:build")


def test_the_manifest_records_how_the_source_was_loaded(project: Path) -> None:
    loading = LoadOptions(
        architecture=f"{project / 'nets.py'}:build", architecture_args={"num_classes": 4}
    )
    bundle = bundled(project, "plain.pt", loading)
    entry = json.loads((bundle.path / "mobilecv.json").read_text())["source"]
    assert entry["architecture"] == "../nets.py:build"
    assert entry["architecture_args"] == {"num_classes": 4}
    assert entry["architecture_sha256"] == digest_of(project / "nets.py")
    assert "allow_pickle" not in entry
    assert bundle.manifest.loading.architecture == "../nets.py:build"


def test_a_manifest_that_says_nothing_of_it_opens_as_before(project: Path) -> None:
    bundle = bundled(project, "plain.pt", by_file(project))
    path = bundle.path / "mobilecv.json"
    data = json.loads(path.read_text())
    for key in ("architecture", "architecture_args", "architecture_sha256"):
        data["source"].pop(key, None)
    path.write_text(json.dumps(data))
    assert Bundle.open(bundle.path).manifest.loading == LoadingEntry()
    data["source"]["architecture"] = 7
    path.write_text(json.dumps(data))
    with pytest.raises(BundleError, match="a value of wrong type"):
        Bundle.open(bundle.path)


def test_code_that_the_user_never_named_is_not_run(project: Path) -> None:
    bundle = bundled(project, "plain.pt", by_file(project))
    loading, reason = loading_of(bundle, project / "plain.pt", NOTHING)
    assert loading is None
    assert "nets.py:build, which you have not named" in str(reason)
    assert f"pass --architecture {project / 'nets.py'}:build" in str(reason)


def test_what_the_user_exported_is_known(project: Path) -> None:
    bundle = bundled(project, "plain.pt", by_file(project))
    trust.remember(by_file(project), project / "plain.pt")
    loading, reason = loading_of(bundle, project / "plain.pt", NOTHING)
    assert reason is None
    assert loading is not None
    assert open_session(project / "plain.pt", loading).describe(StatedInput(size=(12, 10)))


def test_the_list_is_written_once_and_for_this_user_only(project: Path) -> None:
    for _ in range(2):
        trust.remember(by_file(project), project / "plain.pt")
    path = trust.state_folder() / "trusted.json"
    assert len(json.loads(path.read_text())) == 1
    assert list(path.parent.iterdir()) == [path]
    if os.name == "posix":
        assert path.stat().st_mode & 0o077 == 0


def test_other_arguments_are_other_code(project: Path) -> None:
    trust.remember(by_file(project), project / "plain.pt")
    other = LoadOptions(
        architecture=f"{project / 'nets.py'}:build", architecture_args={"num_classes": 4}
    )
    assert trust.recall(other, project / "plain.pt") is None


def test_code_that_has_changed_is_not_run(project: Path) -> None:
    bundle = bundled(project, "plain.pt", by_file(project))
    trust.remember(by_file(project), project / "plain.pt")
    nets = project / "nets.py"
    nets.write_text(nets.read_text() + "\n# changed\n")
    loading, reason = loading_of(bundle, project / "plain.pt", NOTHING)
    assert loading is None
    assert "has changed since the export" in str(reason)
    loading, _ = loading_of(bundle, project / "plain.pt", by_file(project))
    assert loading is not None
    nets.unlink()
    assert "not there any more" in str(loading_of(bundle, project / "plain.pt", NOTHING)[1])


def test_the_same_code_elsewhere_is_not_run_for_its_neighbours_may_differ(project: Path) -> None:
    bundled(project, "plain.pt", by_file(project))
    trust.remember(by_file(project), project / "plain.pt")
    elsewhere = shutil.copytree(project, project.parent / "downloads")
    loading, _ = loading_of(Bundle.open(elsewhere / "bundle"), elsewhere / "plain.pt", NOTHING)
    assert loading is None


def test_a_module_is_known_with_the_folder_that_it_came_from(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_module = LoadOptions(architecture="nets:build")
    monkeypatch.chdir(project)
    bundle = bundled(project, "plain.pt", by_module)
    assert loading_of(bundle, project / "plain.pt", NOTHING)[0] is None
    trust.remember(by_module, project / "plain.pt")
    monkeypatch.chdir("/")
    loading, _ = loading_of(bundle, project / "plain.pt", NOTHING)
    assert loading is not None
    assert loading.folder == project.resolve()


def test_a_pickle_is_known_by_its_place_and_content(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = LoadOptions(allow_pickle=True)
    monkeypatch.chdir(project)
    bundle = bundled(project, "module.pt", allowed)
    loading, reason = loading_of(bundle, project / "module.pt", NOTHING)
    assert loading is None
    assert "the pickle module.pt" in str(reason)
    assert "pass --allow-pickle" in str(reason)
    assert loading_of(bundle, project / "module.pt", allowed)[0] is not None
    trust.remember(allowed, project / "module.pt")
    assert loading_of(bundle, project / "module.pt", NOTHING)[0] is not None


def test_published_collections_need_no_word(project: Path) -> None:
    plain = LoadOptions(architecture="timm:resnet18", architecture_args={"num_classes": 4})
    assert trust.recall(plain, project / "plain.pt") == plain
    assert not (trust.state_folder() / "trusted.json").exists()
    assert Architecture.parse("timm:resnet18").is_published


def test_a_list_that_is_damaged_trusts_nothing(project: Path) -> None:
    trust.remember(by_file(project), project / "plain.pt")
    (trust.state_folder() / "trusted.json").write_text('{"code": ')
    assert trust.recall(by_file(project), project / "plain.pt") is None


def test_a_strangers_bundle_runs_nothing_in_verify_and_bench(
    project: Path, cli: Cli, tmp_path: Path
) -> None:
    """Its manifest says that all of it was allowed, and that its code is the one that it brings."""
    mark = tmp_path / "mark"
    bundle = bundled(project, "plain.pt", by_file(project))
    nets = project / "nets.py"
    nets.write_text(f"import pathlib; pathlib.Path({str(mark)!r}).mkdir()\n{nets.read_text()}")
    path = bundle.path / "mobilecv.json"
    data = json.loads(path.read_text())
    data["source"]["architecture_sha256"] = digest_of(nets)
    data["source"]["allow_pickle"] = True
    path.write_text(json.dumps(data))
    done = cli("verify", bundle.path)
    assert done.returncode == 1, done.stderr  # It has no artifact to verify.
    assert "you have not named to mobilecv export" in done.stdout
    assert "against scores recorded at the export" in done.stdout
    done = cli("bench", bundle.path, "--runs", "1")
    assert "source: left out: loading the source would run" in done.stderr
    assert not mark.exists()
    words = ("--architecture", f"{nets}:build", "--allow-pickle")
    done = cli("verify", bundle.path, *words)
    assert done.returncode == 1, done.stderr
    assert mark.exists()
    assert "plain.pt." in done.stdout
