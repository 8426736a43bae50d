"""Whole Keras models of ten years, against what the Keras that wrote them answered.

The files and the script that made them lie in `tests/golden/keras_old`.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mobilecv.reopening import recorded
from mobilecv.sources import LoadOptions, StatedInput, check_source_file, trust
from mobilecv.sources.keras.channels_first import with_channels_last
from mobilecv.sources.keras.configs import StoredConfig, read_config
from mobilecv.sources.keras.custom_objects import CustomObjects
from mobilecv.sources.keras.inspection import inspect_keras
from mobilecv.sources.keras.opening import open_keras
from mobilecv.sources.keras.rewriting import rewrite
from mobilecv.sources.keras.source import KerasSource
from mobilecv_runtime.digests import digest_of
from mobilecv_runtime.errors import SourceError, UsageError
from tests_shared import ROOT, Cli

FOLDER = ROOT / "tests" / "golden" / "keras_old"
LAMBDAS = ("keras224_lambda.h5", "tf211_lambda.h5")
FILES = (
    "keras122_channels_first.h5",
    "keras122_digits.h5",
    "keras122_merged.h5",
    "keras209_channels_first.h5",
    "keras209_nested.model",
    "keras209_residual.h5",
    "keras224_any_size.h5",
    "keras224_channels_first.h5",
    "keras224_nested.h5",
    "keras224_residual.h5",
    "keras231_nested.h5",
    "keras231_residual.h5",
    "tf115_nested.h5",
    "tf115_residual.h5",
    "tf211_nested.h5",
    "tf211_residual.h5",
    "tf211_transfer.h5",
    "tf23_hdf5.keras",
    "tf23_nested.h5",
    "tf23_residual.h5",
    "tf23_transfer.h5",
    "theano122_channels_first.h5",
)
WEIGHTS = ("keras122_digits", "keras122_merged", "theano122_channels_first")
"""Weights alone, of Keras 1, which says neither its version nor its backend there."""


def test_every_file_that_lies_there_is_tested() -> None:
    there = [path.name for path in FOLDER.iterdir() if path.suffix not in (".npz", ".py", "")]
    assert sorted(there) == sorted((*FILES, *LAMBDAS))
    weights = {path.stem for path in (FOLDER / "weights").iterdir()}
    assert weights == set(WEIGHTS)


@pytest.mark.parametrize("name", FILES)
def test_an_old_file_answers_as_the_keras_that_wrote_it(name: str) -> None:
    path = FOLDER / name
    before = digest_of(path)
    source = KerasSource.load(path)
    with np.load(path.with_suffix(".npz")) as golden:
        values, expected = golden["values"], golden["scores"]
    np.testing.assert_allclose(source.outputs(values), expected, atol=2e-6)
    assert digest_of(path) == before


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_of_keras_1_answer_in_the_network_that_it_described(name: str) -> None:
    path = FOLDER / "weights" / f"{name}.h5"
    source = open_keras(path, LoadOptions(architecture=str(path.with_suffix(".json"))), None)
    with np.load(path.with_suffix(".npz")) as golden:
        values, expected = golden["values"], golden["scores"]
    np.testing.assert_allclose(source.outputs(values), expected, atol=2e-6)
    notes = source.describe(StatedInput()).notes
    assert any("Theano" in note for note in notes) == name.startswith("theano")


def test_weights_of_keras_1_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "weights" / "keras122_digits.h5", tmp_path)
    other = LoadOptions(architecture=str(FOLDER / "weights" / "keras122_merged.json"))
    with pytest.raises(SourceError, match=r"keras122_digits.h5: does not fit .*merged.json"):
        open_keras(tmp_path / "keras122_digits.h5", other, None)


def test_what_was_repaired_is_said_in_a_line_each() -> None:
    described = KerasSource.load(FOLDER / "keras209_nested.model").describe(StatedInput())
    assert described.notes[0].startswith("config of Keras 2.0.9: rewritten for Keras 3")
    assert "optimizer: its state is ignored" in described.notes
    turned = KerasSource.load(FOLDER / "theano122_channels_first.h5").describe(StatedInput())
    assert (turned.height, turned.width, turned.channels) == (16, 12, 3)
    assert any(note.startswith("channels first: ") for note in turned.notes)
    assert any(note.startswith("kernels: ") for note in turned.notes)


def test_arithmetic_on_the_input_is_seen_as_normalisation() -> None:
    described = KerasSource.load(FOLDER / "tf211_transfer.h5").describe(StatedInput())
    assert described.normalises == ("tf.math.truediv", "tf.math.subtract")


@pytest.mark.parametrize("name", LAMBDAS)
def test_a_lambda_is_refused_before_tensorflow_is_started(name: str) -> None:
    with pytest.raises(SourceError, match=r"Lambda layer 'halved' is Python code.*--allow-code"):
        check_source_file(FOLDER / name)


def test_the_code_of_a_lambda_runs_only_when_it_is_allowed(tmp_path: Path) -> None:
    import keras

    mark = tmp_path / "mark"

    code = compile(f"lambda x: (open({str(mark)!r}, 'w').close(), x)[1]", "<test>", "eval")
    layers = [
        keras.Input((8, 8, 3)),
        keras.layers.Lambda(eval(code), output_shape=(8, 8, 3), name="marking"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(4, activation="softmax"),
    ]
    path = tmp_path / "marking.keras"
    keras.Sequential(layers).save(path)
    mark.unlink(missing_ok=True)
    with pytest.raises(SourceError, match="--allow-code"):
        KerasSource.load(path)
    assert not mark.exists()
    source = KerasSource.load(path, LoadOptions(allow_code=True))
    source.outputs(np.zeros((1, 8, 8, 3), np.float32))
    assert mark.exists()


LAYER = """
import keras

class Doubled(keras.layers.Layer):
    def call(self, values):
        return 2.0 * values
"""


@pytest.fixture
def custom(tmp_path: Path) -> Path:
    """An old file with a layer of the user's own."""
    path = tmp_path / "custom.h5"
    shutil.copy(FOLDER / "keras224_any_size.h5", path)
    (tmp_path / "my_layers.py").write_text(LAYER)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        own = {"class_name": "Doubled", "config": {"name": "own"}}
        config["config"]["layers"].insert(1, own)
        file.attrs["model_config"] = json.dumps(config)
    return path


def test_a_custom_layer_is_named_with_the_option_that_brings_it(custom: Path) -> None:
    with pytest.raises(SourceError, match=r"layer 'own'.*--custom-objects my_layers.py:Doubled"):
        KerasSource.load(custom)


def test_a_custom_layer_comes_from_the_users_file(custom: Path) -> None:
    stated = LoadOptions(custom_objects=f"{custom.parent / 'my_layers.py'}:Doubled")
    source = KerasSource.load(custom, stated)
    plain = KerasSource.load(FOLDER / "keras224_any_size.h5")
    values = np.random.default_rng(1).uniform(-1, 1, (2, 9, 9, 3)).astype(np.float32)
    assert abs(source.outputs(values) - plain.outputs(values)).max() > 1e-3


def test_custom_objects_that_are_not_there_are_refused(custom: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        check_source_file(custom, LoadOptions(custom_objects="nowhere.py:Doubled"))
    with pytest.raises(UsageError, match=r"expected my_layers\.py:MyLayer"):
        check_source_file(custom, LoadOptions(custom_objects="Doubled"))
    with pytest.raises(UsageError, match="Other is no class or function"):
        CustomObjects(place=str(custom.parent / "my_layers.py"), names=("Other",)).load(Path())


def test_custom_objects_are_recorded_and_trusted_as_architectures_are(
    custom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(trust.STATE_VARIABLE, str(tmp_path / "state"))
    file = tmp_path / "my_layers.py"
    loading = LoadOptions(custom_objects=f"{file}:Doubled", allow_code=True)
    entry = recorded(loading, tmp_path / "bundle")
    assert entry.custom_objects == "../my_layers.py:Doubled"
    assert entry.custom_objects_sha256 == digest_of(file)
    assert entry.allow_code
    assert trust.recall(loading, custom) is None
    trust.remember(loading, custom)
    assert trust.recall(loading, custom) is not None
    file.write_text(f"{LAYER}\n# changed\n")
    assert trust.recall(loading, custom) is None


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.h5"
    shutil.copy(FOLDER / "keras224_any_size.h5", path)
    with h5py.File(path, "r+") as file:
        name = next(n for n in file["model_weights"] if n.startswith("dense"))
        group = file["model_weights"][name]
        group.attrs["weight_names"] = group.attrs["weight_names"][:1]
    with pytest.raises(SourceError, match="has 2 weights, but the file holds 1"):
        KerasSource.load(path)


def test_weights_that_lie_in_another_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "linked.h5"
    shutil.copy(FOLDER / "keras224_any_size.h5", path)
    with h5py.File(path, "r+") as file:
        name = next(n for n in file["model_weights"] if n.startswith("dense"))
        del file["model_weights"][name]
        file["model_weights"][name] = h5py.ExternalLink("other.h5", "/weights")
    with pytest.raises(SourceError, match="link to another place"):
        KerasSource.load(path)


def test_what_a_custom_layer_says_is_left_alone() -> None:
    own = {"class_name": "Own", "config": {"name": "a", "slope_initializer": "ones", "p": 3}}
    stored = StoredConfig(
        config={"class_name": "Sequential", "config": [own]},
        keras_version="1.2.2",
        backend="tensorflow",
    )
    assert rewrite(stored, ["Own"]).config["config"]["layers"] == [own]


def test_a_config_of_keras_3_stays_as_it_is() -> None:
    config = {"class_name": "Sequential", "config": {"name": "a", "layers": []}}
    stored = StoredConfig(config=config, keras_version="3.4.1", backend="tensorflow")
    assert rewrite(stored).config == config
    assert rewrite(stored).changed == 0


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        ({"class_name": "Merge", "config": {"name": "a", "mode": "cos"}}, "mode 'cos'"),
        ({"class_name": "BatchNormalization", "config": {"name": "a", "mode": 1}}, "in mode 1"),
        (
            {"class_name": "UpSampling2D", "config": {"name": "a", "interpolation": "bilinear"}},
            "bilinear",
        ),
    ],
)
def test_what_keras_3_would_compute_otherwise_is_refused(
    layer: dict[str, Any], reason: str
) -> None:
    stored = StoredConfig(
        config={"class_name": "Sequential", "config": [layer]},
        keras_version="1.2.2",
        backend="tensorflow",
    )
    with pytest.raises(SourceError, match=reason):
        rewrite(stored)


def test_strided_same_padding_of_theano_is_refused() -> None:
    stored = read_config(FOLDER / "theano122_channels_first.h5")
    assert stored.backend == "theano"
    for layer in stored.config["config"]:
        if layer["config"].get("border_mode") == "valid":
            layer["config"]["border_mode"] = "same"
    with pytest.raises(SourceError, match="pads 'same' with strides"):
        rewrite(stored)


@pytest.mark.parametrize("name", [*FILES, *LAMBDAS])
def test_an_old_file_is_inspected_without_tensorflow(name: str) -> None:
    seen = inspect_keras(FOLDER / name)
    assert seen.format.startswith(("Keras 1.2.2", "Keras 2."))
    assert seen.parameters > 0
    assert seen.inputs


def test_export_and_verify_a_model_of_keras_2(cli: Cli, tmp_path: Path) -> None:
    words = ("--to", "tflite,onnx", "-o", tmp_path / "bundle", "--preset", "raw")
    done = cli("export", FOLDER / "keras209_nested.model", *words)
    assert done.returncode == 0, done.stderr
    assert "config of Keras 2.0.9: rewritten" in done.stderr
    done = cli("verify", tmp_path / "bundle")
    assert done.returncode == 0, done.stderr


def test_a_model_of_any_size_is_exported_at_the_stated_one(cli: Cli, tmp_path: Path) -> None:
    words = ("--to", "tflite", "-o", tmp_path / "bundle", "--size", "24")
    done = cli("export", FOLDER / "keras224_any_size.h5", *words)
    assert done.returncode == 0, done.stderr
    done = cli("export", FOLDER / "keras224_any_size.h5", "-o", tmp_path / "none")
    assert done.returncode == 2
    assert "--size" in done.stderr


@pytest.mark.parametrize("command", ["export", "verify", "bench"])
def test_code_of_keras_files_is_allowed_by_the_same_flags_everywhere(
    command: str, cli: Cli
) -> None:
    shown = cli(command, "--help").stdout
    assert "--allow-code " in shown
    assert "--custom-objects " in shown


def test_reshapes_keep_the_order_that_they_were_trained_with() -> None:
    import keras

    first = {"data_format": "channels_first"}
    image = keras.Input((3, 4, 6))
    x = keras.layers.Reshape((6, 4, 3))(image)
    x = keras.layers.GlobalAveragePooling2D(**first)(x)
    turned = with_channels_last(keras.Model(image, x))
    values = np.random.default_rng(2).uniform(-1, 1, (2, 3, 4, 6)).astype(np.float32)
    expected = values.reshape(2, 6, 4, 3).mean(axis=(2, 3))
    np.testing.assert_allclose(turned(values.transpose(0, 2, 3, 1)), expected, atol=1e-6)


def test_a_layer_that_cannot_be_turned_exactly_is_refused() -> None:
    import keras

    image = keras.Input((3, 4, 6))
    x = keras.layers.Permute((2, 1, 3))(image)
    x = keras.layers.GlobalAveragePooling2D(data_format="channels_first")(x)
    with pytest.raises(
        SourceError, match=r"Permute does with channels first is not known; build it"
    ):
        with_channels_last(keras.Model(image, x))
