"""Who builds a network: the user's files and modules, torchvision and timm."""

from __future__ import annotations

from pathlib import Path

import pytest

from mobilecv.options import ModelOptions, resolve
from mobilecv.sources import LoadOptions, StatedInput, check_source_file, open_session, wrap_model
from mobilecv.sources.architectures import Architecture
from mobilecv.sources.loading import parse_architecture_args
from mobilecv.sources.pytorch import zoo
from mobilecv_runtime.errors import MissingDependencyError, SourceError, UsageError


def test_an_architecture_is_a_place_and_a_name() -> None:
    parsed = Architecture.parse("C:\\nets\\my_model.py:build")
    assert (parsed.place, parsed.name) == ("C:\\nets\\my_model.py", "build")
    assert Architecture.parse("timm:efficientnet_b0").is_published
    assert not Architecture.parse("timm.models:efficientnet_b0").is_published
    for wrong in ("resnet18", ":build", "nets.py:", ""):
        with pytest.raises(UsageError, match=r"expected torchvision\.models:NAME, timm:NAME"):
            Architecture.parse(wrong)


@pytest.mark.parametrize("text", ["[1]", "7", "{num_classes: 10}", ""])
def test_arguments_that_are_no_json_object_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a JSON object, such as"):
        parse_architecture_args(text)


def test_arguments_are_what_a_manifest_can_keep() -> None:
    assert LoadOptions(architecture_args={"sizes": (1, 2)}).architecture_args == {"sizes": [1, 2]}
    with pytest.raises(UsageError, match="expected JSON values"):
        LoadOptions(architecture_args={"layer": object()})


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("absent", UsageError, r"'absent' is not there; callable in .*nets.py are: .*build"),
        ("number", UsageError, "'number' is no function or class"),
        ("gives_words", SourceError, "gave a str; expected .* torch.nn.Module"),
        ("fails", SourceError, r"nets\.py, line \d+: ValueError: no such luck"),
    ],
)
def test_what_builds_no_network_is_refused(
    name: str, kind: type[Exception], message: str, torch_files: Path
) -> None:
    loading = LoadOptions(architecture=f"{torch_files / 'nets.py'}:{name}")
    with pytest.raises(kind, match=message):
        open_session(torch_files / "plain.pt", loading)


def test_a_missing_or_broken_file_is_refused(torch_files: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.py: no such file"):
        check_source_file(torch_files / "plain.pt", LoadOptions(architecture="gone.py:build"))
    (tmp_path / "broken.py").write_text("def build(:\n")
    loading = LoadOptions(architecture=f"{tmp_path / 'broken.py'}:build")
    with pytest.raises(SourceError, match=r"broken\.py, line 1: SyntaxError"):
        open_session(torch_files / "plain.pt", loading)


def test_arguments_reach_the_constructor(torch_files: Path) -> None:
    loading = LoadOptions(
        architecture=f"{torch_files / 'nets.py'}:build", architecture_args={"wrong_word": 1}
    )
    with pytest.raises(SourceError, match="unexpected keyword argument 'wrong_word'"):
        open_session(torch_files / "plain.pt", loading)


def test_a_module_is_found_in_the_current_folder(
    torch_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(torch_files)
    found = open_session(torch_files / "plain.pt", LoadOptions(architecture="nets:Net"))
    assert found.describe(StatedInput(size=(12, 10))).outputs == 4
    with pytest.raises(SourceError, match="No module named 'gone'"):
        open_session(torch_files / "plain.pt", LoadOptions(architecture="gone:Net"))


@pytest.mark.parametrize(
    ("architecture", "origin", "resample", "crop"),
    [
        ("torchvision.models:squeezenet1_1", "SqueezeNet1_1_Weights.IMAGENET1K_V1", "bilinear",
         224 / 256),
        ("timm:mobilenetv3_small_050", "timm's configuration of mobilenetv3_small_050",
         "bicubic", 0.875),
    ],
)  # fmt: skip
def test_published_architectures_suggest_how_images_are_prepared(
    architecture: str, origin: str, resample: str, crop: float, tmp_path: Path
) -> None:
    import torch

    parsed = Architecture.parse(architecture)
    network = parsed.build({"num_classes": 7}, tmp_path)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    loading = LoadOptions(architecture=architecture, architecture_args={"num_classes": 7})
    description = open_session(tmp_path / "weights.pth", loading).describe(StatedInput())
    resolved = resolve(ModelOptions(), description, None)
    image = resolved.contract.image
    assert (image.height, image.width, image.resample) == (224, 224, resample)
    assert image.crop_fraction == pytest.approx(crop)
    assert description.outputs == 7
    assert any(origin in note and "crop fraction" in note for note in resolved.notes)
    assert parsed.place.partition(".")[0] in description.tools
    stated = ModelOptions(preset="unit", size=(64, 64), crop_fraction=1.0, resample="nearest")
    resolved = resolve(stated, description, None)
    assert resolved.contract.image.shape == (64, 64, 3)
    assert resolved.contract.preprocessing.scale == (1 / 255,)
    assert not any(origin in note for note in resolved.notes)


@pytest.mark.parametrize("zoo", ["torchvision.models", "timm"])
def test_nothing_is_ever_fetched(zoo: str, torch_files: Path) -> None:
    for argument in ("weights", "pretrained", "checkpoint_path"):
        loading = LoadOptions(architecture=f"{zoo}:resnet18", architecture_args={argument: "x"})
        with pytest.raises(UsageError, match=f"would fetch weights for '{argument}'"):
            check_source_file(torch_files / "plain.pt", loading)


@pytest.mark.parametrize(
    "architecture",
    ["torchvision.models:get_model", "torchvision.models:resnet19", "timm:hf-hub", "timm:none"],
)
def test_a_name_that_is_no_published_classifier_is_refused(
    architecture: str, torch_files: Path
) -> None:
    with pytest.raises(UsageError, match="has no classifier of that name"):
        open_session(torch_files / "plain.pt", LoadOptions(architecture=architecture))


def test_a_network_of_timm_in_memory_brings_its_configuration() -> None:
    import timm

    described = wrap_model(timm.create_model("resnet10t", num_classes=3)).describe(StatedInput())
    assert described.suggested is not None
    assert described.suggested.origin == "timm's configuration of resnet10t"
    assert (described.suggested.size, described.outputs) == ((176, 176), 3)


def test_a_torchvision_that_does_not_match_torch_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str) -> None:
        raise RuntimeError(f"operator {name}::nms does not exist")

    monkeypatch.setattr(zoo.importlib, "import_module", fails)
    with pytest.raises(MissingDependencyError, match="built for this torch"):
        zoo.build("torchvision.models", "resnet18", {})
