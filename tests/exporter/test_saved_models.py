"""SavedModel folders as sources."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mobilecv.options import ModelOptions, resolve
from mobilecv.sources import LoadOptions, StatedInput, check_source_file, kind_of
from mobilecv.sources.keras.saved_models import SavedModelSource
from mobilecv_runtime.bundle import Bundle
from mobilecv_runtime.digests import digest_of
from mobilecv_runtime.errors import SourceError, UsageError
from tests_shared import BESIDE_KERAS, Cli, run_script


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SavedModels of every kind; do not write into them."""
    folder = tmp_path_factory.mktemp("saved")
    script = Path(__file__).with_name("make_saved_models.py")
    run_script(script, folder, without=BESIDE_KERAS)
    return folder


@pytest.fixture
def whole(folders: Path, tmp_path: Path) -> Path:
    """A copy of a good one that a test may spoil."""
    return shutil.copytree(folders / "keras3", tmp_path / "mine")


@pytest.mark.parametrize("name", ["keras3", "tf1"])
def test_a_saved_model_answers_as_it_was_saved(name: str, folders: Path) -> None:
    source = SavedModelSource.load(folders / name)
    scores = source.outputs(np.load(folders / "images.npy"))
    np.testing.assert_allclose(scores, np.load(folders / f"{name}.npy"), atol=1e-6)
    found = source.describe(StatedInput())
    assert (found.height, found.width, found.channels, found.outputs) == (16, 12, 3, 4)
    assert (found.framework, found.head, found.normalises) == ("tensorflow", "softmax", ())


@pytest.mark.parametrize("name", ["rescaling", "bytes", "named"])
def test_normalisation_inside_is_seen_in_the_graph(name: str, folders: Path) -> None:
    described = SavedModelSource.load(folders / name).describe(StatedInput())
    with pytest.raises(UsageError, match=r"already normalises inside .*--preset raw"):
        resolve(ModelOptions(), described, None)
    assert resolve(ModelOptions(preset="raw"), described, None)
    assert resolve(ModelOptions(force_preprocessing=True), described, None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("python", r"its graph holds PyFunc\w*, which can run code"),
        ("reading", "its graph holds ReadFile, which can run code, open files"),
    ],
)
def test_operations_that_touch_the_machine_are_refused_before_loading(
    name: str, message: str, folders: Path
) -> None:
    with pytest.raises(SourceError, match=message):
        check_source_file(folders / name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("random", "keeps state in RandomUniform"),
        ("vector", r"takes x \(float32 \(None, 7\)\); expected one image"),
        ("three", "takes 3 images at a time"),
        ("map", r"gives map \(float32 .*\); expected one row of scores"),
        ("unsigned", "its signatures are none; expected serving_default"),
    ],
)
def test_what_is_no_classifier_is_refused(name: str, message: str, folders: Path) -> None:
    with pytest.raises(SourceError, match=message):
        SavedModelSource.load(folders / name)


def test_folders_that_are_no_saved_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"a folder without saved_model\.pb"):
        check_source_file(tmp_path)
    (tmp_path / "saved_model.pbtxt").write_text("")
    with pytest.raises(SourceError, match="text form"):
        check_source_file(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(SourceError, match="holds no graph; copy it again"):
        check_source_file(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"no protobuf at all")
    with pytest.raises(SourceError, match="damaged"):
        check_source_file(tmp_path)


def test_damaged_folders_are_refused(whole: Path) -> None:
    data = whole / "variables" / "variables.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(SourceError, match="cannot load it"):
        SavedModelSource.load(whole)
    (whole / "variables" / "variables.index").unlink()
    with pytest.raises(SourceError, match=r"variables.index is missing; copy the whole folder"):
        check_source_file(whole)
    graph = whole / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:-50])
    with pytest.raises(SourceError, match="damaged"):
        check_source_file(whole)


def test_an_architecture_does_not_go_with_a_saved_model(folders: Path) -> None:
    with pytest.raises(UsageError, match="leave --architecture out"):
        check_source_file(folders / "keras3", LoadOptions(architecture="timm:resnet18"))


def test_a_saved_model_is_inspected_without_tensorflow(folders: Path, cli: Cli) -> None:
    found = kind_of(folders / "tf1").inspect(folders / "tf1")
    assert [each.type for each in found.inputs] == ["float32 ?x16x12x3"]
    assert {each.name for each in found.outputs} == {"classes", "probabilities"}
    assert found.operations["Conv2D"] == 1
    done = cli("inspect", folders / "keras3")
    assert done.returncode == 0, done.stderr
    assert "SavedModel, TensorFlow 2" in done.stdout


def test_a_saved_model_goes_all_the_way_and_is_found_again(whole: Path, cli: Cli) -> None:
    done = cli("export", whole, "--preset", "tf", "--to", "coreml,tflite,onnx")
    assert done.returncode == 0, done.stdout + done.stderr
    bundle = Bundle.open(whole.parent / "mine-mobilecv")
    assert bundle.manifest.source.framework == "tensorflow"
    assert bundle.manifest.source.sha256 == digest_of(whole)
    done = cli("verify", bundle.path, "--strict")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "recorded at the export" not in done.stdout
    (whole / "fingerprint.pb").write_bytes(b"other")
    done = cli("verify", bundle.path)
    assert done.returncode == SourceError.exit_code
    assert "its SHA-256 differs" in done.stderr
