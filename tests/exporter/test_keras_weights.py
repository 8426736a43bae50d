"""Files of Keras weights, in the network that the user names."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mobilecv.options import ModelOptions, resolve
from mobilecv.reopening import loading_of, recorded
from mobilecv.sources import LoadOptions, StatedInput, check_source_file, trust
from mobilecv.sources.architectures import Architecture
from mobilecv.sources.keras.inspection import inspect_keras
from mobilecv.sources.keras.matching import match
from mobilecv.sources.keras.network_configs import read_network_config
from mobilecv.sources.keras.opening import open_keras
from mobilecv.sources.keras.source import KerasSource
from mobilecv_runtime.bundle import Bundle
from mobilecv_runtime.digests import digest_of
from mobilecv_runtime.errors import SourceError, UsageError
from tests_shared import BESIDE_KERAS, Cli, run_script

NOTHING = LoadOptions()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights and of the code that builds their networks; do not write into it."""
    folder = tmp_path_factory.mktemp("weights")
    script = Path(__file__).with_name("make_keras_weights.py")
    run_script(script, folder, without=BESIDE_KERAS)
    return folder


@pytest.fixture
def own(files: Path, tmp_path: Path) -> Path:
    """A copy of that folder that a test may spoil."""
    return shutil.copytree(files, tmp_path / "own")


@pytest.fixture(autouse=True)
def _own_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(trust.STATE_VARIABLE, str(tmp_path / "state"))


def by(folder: Path, name: str, **arguments: Any) -> LoadOptions:
    return LoadOptions(architecture=f"{folder / 'nets.py'}:{name}", architecture_args=arguments)


def answers_as_saved(weights: Path, loading: LoadOptions) -> tuple[str, ...]:
    """Hold a loaded file against the network that wrote it, and give the notes."""
    expected = np.load(weights.with_name(f"{weights.name.partition('.')[0]}.npz"))
    source = open_keras(weights, loading, None)
    np.testing.assert_allclose(source.outputs(expected["images"]), expected["scores"], atol=1e-6)
    return source.describe(StatedInput()).notes


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
@pytest.mark.parametrize("name", ["build", "nested"])
def test_weights_answer_in_the_network_that_code_builds(
    name: str, suffix: str, files: Path
) -> None:
    notes = answers_as_saved(files / f"{name}{suffix}", by(files, name))
    assert any("layers found by name" in note for note in notes)


def test_a_network_without_names_of_its_own_is_filled_in_order(own: Path) -> None:
    """Keras numbers layers anew, so the names of another session are not those of this one."""
    with h5py.File(own / "unnamed.h5", "r+") as file:
        for number, name in enumerate(file.attrs["layer_names"]):
            file.move(name, f"renamed_{number}")
        count = len(file.attrs["layer_names"])
        file.attrs["layer_names"] = [f"renamed_{number}" for number in range(count)]
    notes = answers_as_saved(own / "unnamed.h5", by(own, "unnamed"))
    assert notes == (
        "weights: all 4 layers found by their order, since their names are not the network's",
    )


def test_a_json_config_builds_the_network_without_running_code(files: Path) -> None:
    loading = LoadOptions(architecture=str(files / "build.json"))
    answers_as_saved(files / "build.h5", loading)
    assert trust.recall(loading, files / "build.h5") == loading


def test_a_config_is_recorded_with_its_place_and_digest(files: Path) -> None:
    entry = recorded(LoadOptions(architecture=str(files / "build.json")), files / "bundle")
    assert entry.architecture == "../build.json"
    assert entry.architecture_sha256 == digest_of(files / "build.json")


def test_a_yaml_config_with_tuples_builds_the_same(own: Path) -> None:
    yaml = pytest.importorskip("yaml")
    text = yaml.safe_dump(json.loads((own / "build.json").read_text()))
    (own / "build.yaml").write_text(f"{text}spare: !!python/tuple [null, 16]\n")
    assert read_network_config(own / "build.yaml").config["spare"] == [None, 16]
    (own / "build.yaml").write_text(text)
    answers_as_saved(own / "build.h5", LoadOptions(architecture=str(own / "build.yaml")))


def test_yaml_that_would_run_code_is_refused(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "evil.yaml").write_text(
        f"class_name: !!python/object/apply:os.mkdir [{mark}]\nconfig: {{}}\n"
    )
    with pytest.raises(SourceError, match="its YAML would run code"):
        read_network_config(tmp_path / "evil.yaml")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as a Keras config"),
        ("[1]", "no Keras config"),
        ('{"layers": []}', "no class_name and config"),
    ],
)
def test_what_is_no_config_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(SourceError, match=message):
        read_network_config(tmp_path / "model.json")


def test_a_lambda_in_a_config_is_not_run(own: Path) -> None:
    import keras

    evil = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Lambda(lambda x: x)])
    (own / "evil.json").write_text(evil.to_json())
    with pytest.raises(SourceError, match=r"evil\.json: its Lambda layer .* is Python code"):
        open_keras(own / "build.h5", LoadOptions(architecture=str(own / "evil.json")), None)


def test_what_was_frozen_does_not_mix_up_a_nested_model(own: Path) -> None:
    """Keras 2 wrote a nested model with frozen layers in another order than a trained one."""
    with h5py.File(own / "nested.h5", "r+") as file:
        names = list(file["base"].attrs["weight_names"])
        moved = [each for each in names if "batch_1" in each]
        file["base"].attrs["weight_names"] = moved[::-1] + [e for e in names if e not in moved]
    answers_as_saved(own / "nested.h5", by(own, "nested"))


def test_layers_in_another_order_are_found_by_name(own: Path) -> None:
    with h5py.File(own / "build.h5", "r+") as file:
        file.attrs["layer_names"] = list(file.attrs["layer_names"])[::-1]
    (note,) = answers_as_saved(own / "build.h5", by(own, "build"))
    assert "found by name (their order differs)" in note


def test_layers_that_the_network_has_not_are_left_out_aloud(own: Path) -> None:
    with h5py.File(own / "build.h5", "r+") as file:
        group = file.create_group("old_top")
        group["old_top/kernel:0"] = np.ones((4, 1000), np.float32)
        group.attrs["weight_names"] = ["old_top/kernel:0"]
        file.attrs["layer_names"] = [*file.attrs["layer_names"], "old_top"]
    notes = answers_as_saved(own / "build.h5", by(own, "build"))
    assert notes[1].startswith("weights: the layer old_top (4x1000) of the file left out")


def test_weights_in_float16_are_taken(own: Path) -> None:
    with h5py.File(own / "build.h5", "r+") as file:
        kernel = file["scores/scores/kernel"]
        values = kernel[...]
        del file["scores/scores/kernel"]
        file["scores/scores/kernel"] = values.astype(np.float16)
    expected = np.load(own / "build.npz")
    source = open_keras(own / "build.h5", by(own, "build"), None)
    np.testing.assert_allclose(source.outputs(expected["images"]), expected["scores"], atol=1e-3)


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("other", {}, "nothing matches; the file has 6 layers"),
        ("build", {"classes": 7}, r"scores is 16x9 \+ 9 in the file and 16x7 .* be built for 9$"),
        ("longer", {}, "dense_hidden is .* in the file and"),
        ("nothing", {}, "gave a NoneType; expected .* keras.Model"),
        ("unbuilt", {}, "never built; give it a keras.Input"),
    ],
)
def test_weights_of_another_network_are_refused(
    name: str, arguments: dict[str, Any], message: str, suffix: str, files: Path
) -> None:
    with pytest.raises(SourceError, match=message):
        open_keras(files / f"build{suffix}", by(files, name, **arguments), None)


def test_a_layer_that_would_stay_random_is_named(own: Path) -> None:
    with h5py.File(own / "build.h5", "r+") as file:
        names = [each for each in file.attrs["layer_names"] if each != "left"]
        file.attrs["layer_names"] = names
    with pytest.raises(SourceError, match=r"the layer left \(1x1x6x4 \+ 4\) would stay at random"):
        open_keras(own / "build.h5", by(own, "build"), None)
    with h5py.File(own / "build.weights.h5", "r+") as file:
        del file["layers/batch_normalization/vars"]
    with pytest.raises(SourceError, match=r"batch_1 .* would stay at random values"):
        open_keras(own / "build.weights.h5", by(own, "build"), None)


@dataclass(frozen=True)
class Layer:
    name: str
    place: str
    shapes: tuple[tuple[int, ...], ...] = ((2, 2),)


def test_names_win_over_places_where_both_sides_know_the_same() -> None:
    saved = [Layer("b", "layers/conv"), Layer("a", "layers/conv_1")]
    wanted = [Layer("a", "layers/conv"), Layer("b", "layers/conv_1")]
    pairs = match(saved, wanted, "w.h5", "net").pairs
    assert [one.name for one, _ in pairs] == [other.name for _, other in pairs] == ["a", "b"]


def test_places_do_not_win_over_names_that_people_gave() -> None:
    saved = [Layer("stem", "0"), Layer("neck", "1"), Layer("old_head", "2")]
    wanted = [Layer("neck", "0"), Layer("stem", "1"), Layer("head", "2")]
    with pytest.raises(SourceError, match=r"the layer head \(2x2\) would stay at random values"):
        match(saved, wanted, "w.h5", "net")
    wanted = [Layer("conv_2", "0"), Layer("conv_1", "1"), Layer("conv_3", "2")]
    saved = [Layer("conv_1", "0"), Layer("conv_2", "1"), Layer("conv_4", "2")]
    assert "found by their order" in match(saved, wanted, "w.h5", "net").notes[0]


def test_weights_of_theano_and_of_keras_before_1_are_refused(own: Path) -> None:
    with h5py.File(own / "build.h5", "r+") as file:
        file.attrs["backend"] = "theano"
    with pytest.raises(SourceError, match="Theano, which flips the kernels"):
        inspect_keras(own / "build.h5")
    with h5py.File(own / "build.h5", "r+") as file:
        file.attrs["nb_layers"] = 3
    with pytest.raises(SourceError, match=r"before 1\.0"):
        inspect_keras(own / "build.h5")


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
def test_truncated_weights_are_refused(suffix: str, own: Path) -> None:
    path = own / f"build{suffix}"
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(SourceError, match="truncated"):
        check_source_file(path, by(own, "build"))


@pytest.mark.parametrize(
    ("architecture", "arguments", "message"),
    [
        ("gone.json", {}, r"gone\.json: no such file"),
        ("timm:resnet18", {}, "builds a network of pytorch, but the weights are of keras"),
        ("keras.applications:VGG16", {"weights": "imagenet"}, "would fetch weights"),
    ],
)
def test_an_architecture_that_cannot_be_is_refused_before_tensorflow(
    architecture: str, arguments: dict[str, Any], message: str, files: Path
) -> None:
    loading = LoadOptions(architecture=architecture, architecture_args=arguments)
    with pytest.raises(UsageError, match=message):
        check_source_file(files / "build.h5", loading)


def test_a_config_takes_no_arguments_and_is_not_for_torch(files: Path) -> None:
    config = str(files / "build.json")
    with pytest.raises(UsageError, match="a config takes none"):
        check_source_file(
            files / "build.h5", LoadOptions(architecture=config, architecture_args={"classes": 1})
        )
    with pytest.raises(UsageError, match="builds a network of keras"):
        Architecture.parse(config).check({}, "pytorch")


def test_keras_applications_are_known_and_fetch_nothing(tmp_path: Path) -> None:
    import keras

    arguments = {"classes": 3, "alpha": 0.25, "input_shape": [32, 32, 3]}
    network = keras.applications.MobileNet(weights=None, **arguments)
    network.save_weights(tmp_path / "net.weights.h5")
    images = np.random.default_rng(1).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    loading = LoadOptions(architecture="keras.applications:MobileNet", architecture_args=arguments)
    source = open_keras(tmp_path / "net.weights.h5", loading, None)
    np.testing.assert_allclose(source.outputs(images), network(images, training=False), atol=1e-6)
    assert trust.recall(loading, tmp_path / "net.weights.h5") == loading
    with pytest.raises(UsageError, match=r"no classifier of that name; it has .*MobileNet"):
        Architecture.parse("keras.applications:MobileNetV9").build({}, tmp_path)


def test_weights_are_listed_without_tensorflow(files: Path, cli: Cli) -> None:
    done = cli("inspect", files / "build.h5")
    assert done.returncode == 0, done.stderr
    assert "Keras weights without an architecture" in done.stdout
    assert "conv_1: 3x3x3x6, 6" in done.stdout
    done = cli("inspect", files / "build.weights.h5")
    assert "layers/conv2d (conv_1): 3x3x3x6, 6" in done.stdout


def test_normalisation_inside_is_refused_unless_the_pixels_are_raw(files: Path) -> None:
    described = open_keras(files / "build.h5", by(files, "rescaling"), None).describe(StatedInput())
    assert described.normalises
    with pytest.raises(UsageError, match=r"already normalises inside .*--preset raw"):
        resolve(ModelOptions(), described, None)
    assert resolve(ModelOptions(preset="raw"), described, None)
    assert resolve(ModelOptions(force_preprocessing=True), described, None)


def test_only_what_rescales_the_image_itself_is_normalisation() -> None:
    import keras

    layers = keras.layers
    base = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Rescaling(2, name="first"),
            layers.Conv2D(3, 3, padding="same"),
            layers.Rescaling(0.5, name="of_features"),
            layers.GlobalAveragePooling2D(),
        ]
    )
    nested = keras.Sequential([keras.Input((8, 8, 3)), layers.RandomFlip(), base])
    behind = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(3, 1), base])
    found = [
        KerasSource(model, "net").describe(StatedInput()).normalises
        for model in (base, nested, behind)
    ]
    assert found == [("first",), ("first",), ()]


def test_a_fine_tuned_network_goes_all_the_way(own: Path, cli: Cli) -> None:
    """Weights saved apart, nine named classes, the network rebuilt by the user's code."""
    names = ["acne", "bkl", "bcc", "df", "mel", "nv", "sk", "vasc", "wart"]
    (own / "labels.txt").write_text("\n".join(names) + "\n")
    weights = shutil.move(own / "build.h5", own / "VA.h5")
    done = cli(
        "export", weights, "--architecture", f"{own / 'nets.py'}:build", "--preset", "tf",
        "--to", "coreml,tflite,onnx",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all 6 layers found by name" in done.stderr
    bundle = Bundle.open(own.parent / "VA-mobilecv")
    assert bundle.contract.labels.names == tuple(names)
    done = cli("verify", bundle.path, "--strict", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    import coremltools as ct

    specification = ct.utils.load_spec(str(bundle.path / "VA.mlmodel"))
    outputs = {each.name: each.type.WhichOneof("Type") for each in specification.description.output}
    assert outputs["classLabel"] == "stringType"
    assert "dictionaryType" in outputs.values()
    (own / "nets.py").write_text((own / "nets.py").read_text() + "\n# changed\n")
    _, reason = loading_of(bundle, weights, NOTHING)
    assert "has changed since the export" in str(reason)
