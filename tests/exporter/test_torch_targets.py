"""A PyTorch network in every target, converted by the workers that an export uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from mobilecv.captures import Capture, TorchProgram
from mobilecv.conversion import Converter
from mobilecv.lean_workers import lean, unused_by_converter
from mobilecv.targets import TARGETS, Job
from mobilecv.targets.base import Format
from mobilecv_runtime.child import Child
from mobilecv_runtime.digests import digest_of
from mobilecv_runtime.errors import ConversionError
from mobilecv_runtime.inspection import inspect
from mobilecv_runtime.runners import open_runner
from mobilecv_runtime.spec import (
    PRESETS,
    Contract,
    FloatArray,
    Head,
    ImageInput,
    Labels,
    Preprocessing,
    UInt8Array,
)
from mobilecv_runtime.verdicts import ScoredImages, artifact_verdict
from torch_nets import mobilenet_like

KINDS = {
    "rgb": PRESETS["torch"],  # A std of its own for every channel.
    "gray": Preprocessing(color="GRAY", scale=(1 / 64,), bias=(-2.0,)),
}
FROM_CAPTURE = [target.id for target in TARGETS.values() if target.starts_from is None]
FORMATS = sorted({target.format for target in TARGETS.values()})


def images(count: int, channels: int, seed: int) -> UInt8Array:
    """Coarse patches of light with fine noise: photos are mostly that."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(20, 235, (count, 4, 4, channels)).repeat(8, axis=1).repeat(8, axis=2)
    noisy = coarse + random.normal(0, 12, coarse.shape)
    return noisy.clip(0, 255).astype(np.uint8)


@dataclass(frozen=True, kw_only=True)
class Network:
    """A captured network with its own answers."""

    capture: TorchProgram
    contract: Contract
    golden: ScoredImages
    calibration: Path
    folder: Path

    @classmethod
    def make(cls, kind: str, folder: Path) -> Network:
        preprocessing = KINDS[kind]
        channels = preprocessing.channels
        contract = Contract(
            image=ImageInput(height=32, width=32, channels=channels),
            preprocessing=preprocessing,
            head=Head(kind="logits"),
            labels=Labels.numbered(10),
        )
        module = mobilenet_like(channels)
        capture = TorchProgram.write(module, contract.image.shape, folder / "net.pt2")
        pixels = images(16, channels, seed=1)
        np.save(folder / "calibration.npy", images(64, channels, seed=2))
        return cls(
            capture=capture,
            contract=contract,
            golden=ScoredImages.golden(pixels, answers(module, contract, pixels)),
            calibration=folder / "calibration.npy",
            folder=folder,
        )

    def job(self, target: str, folder: Path, capture: Capture | None = None) -> Job:
        base = TARGETS[target].starts_from
        return Job(
            name="net",
            contract=self.contract,
            capture=capture or self.capture,
            base=folder / TARGETS[base].file_name("net") if base else None,
            calibration=self.calibration,
            output=folder / TARGETS[target].file_name("net"),
        )

    def artifact(self, target: str) -> Path:
        return self.folder / TARGETS[target].file_name("net")


def answers(module: torch.nn.Module, contract: Contract, pixels: UInt8Array) -> FloatArray:
    values = contract.preprocessing.apply(pixels).transpose(0, 3, 1, 2)
    with torch.no_grad():
        return contract.head.apply(module(torch.from_numpy(values.copy())).numpy())


@pytest.fixture(scope="module")
def converters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Child]]:
    """A worker process per format."""
    log = tmp_path_factory.mktemp("log") / "log.txt"
    with ExitStack() as stack:
        yield {name: stack.enter_context(worker(name, log)) for name in FORMATS}


def worker(format_: Format, log: Path) -> Child:
    """One that converts to a format, and imports no more for it than in an export."""
    target = next(each for each in TARGETS.values() if each.format == format_)
    capture = TorchProgram(path=Path("net.pt2"), dynamic_batch=True)
    return Child(lean, Converter, unused_by_converter(target, capture), log=log)


@pytest.fixture(scope="module")
def networks(
    converters: dict[str, Child], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Network]:
    """Every kind of network, in every target."""
    made = {kind: Network.make(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}
    for network in made.values():
        for target in TARGETS.values():
            converters[target.format].call(
                "convert", target.id, network.job(target.id, network.folder)
            )
    return made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", TARGETS)
def test_every_target_agrees_with_torch(
    target: str, kind: str, networks: dict[str, Network]
) -> None:
    network, precision = networks[kind], TARGETS[target].precision
    assert network.golden.scores.max() > 0.8  # A network that cannot decide would prove little.
    promised = TARGETS[target].promised(network.contract.head)
    verdict = artifact_verdict(
        network.artifact(target), precision, network.contract, promised, network.golden
    )
    assert verdict.outcome == "agrees", verdict
    if precision == "float32":
        scores = open_runner(network.artifact(target)).scores(network.golden.pixels)
        np.testing.assert_allclose(scores, network.golden.scores, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_tflite_needs_no_transpose(kind: str, networks: dict[str, Network]) -> None:
    operations = inspect(networks[kind].artifact("tflite")).operations
    assert operations["CONV_2D"] >= 2
    assert "TRANSPOSE" not in operations


@pytest.mark.parametrize("kind", KINDS)
def test_onnx_needs_the_one_transpose_of_its_image(kind: str, networks: dict[str, Network]) -> None:
    found = inspect(networks[kind].artifact("onnx"))
    assert found.operations["Transpose"] == 1
    assert not found.operations.keys() & {"Gather", "Shape", "Range", "BatchNormalization"}
    assert found.inputs[0].type.startswith("uint8 batchx32x32x")


def test_gray_core_ml_normalises_on_its_image_input(networks: dict[str, Network]) -> None:
    scaler = inspect(networks["gray"].artifact("coreml")).metadata["scaler"]
    assert scaler == "channelScale 0.015625, grayBias -2"
    scaler = inspect(networks["rgb"].artifact("coreml")).metadata["scaler"]
    assert scaler == "channelScale 1"  # Unequal scales are inside the graph.


@pytest.mark.parametrize("target", TARGETS)
def test_no_artifact_tells_where_it_was_made(target: str, networks: dict[str, Network]) -> None:
    artifact = networks["rgb"].artifact(target)
    files = [artifact] if artifact.is_file() else [*artifact.rglob("*")]
    whole = b"".join(path.read_bytes() for path in files if path.is_file())
    for trace in (b".py:", b'.py"', b"site-packages", str(Path.cwd()).encode(), b"torch_nets"):
        assert trace not in whole, trace


def test_another_process_writes_the_same_bytes(
    networks: dict[str, Network], tmp_path: Path
) -> None:
    network = networks["rgb"]
    for name in FORMATS:
        with worker(name, tmp_path / "log.txt") as child:
            for target in FROM_CAPTURE:
                if TARGETS[target].format == name:
                    job = network.job(target, tmp_path)
                    child.call("convert", target, job)
                    assert digest_of(job.output) == digest_of(network.artifact(target)), target


def test_a_network_for_one_image_gives_an_onnx_file_for_one(
    converters: dict[str, Child], networks: dict[str, Network], tmp_path: Path
) -> None:
    network = networks["rgb"]
    capture = TorchProgram(path=network.capture.path, dynamic_batch=False)
    job = network.job("onnx", tmp_path, capture)
    converters["onnx"].call("convert", "onnx", job)
    assert inspect(job.output).inputs[0].type == "uint8 1x32x32x3"


@pytest.mark.parametrize("target", FROM_CAPTURE)
def test_an_operation_that_a_converter_does_not_know_is_a_conversion_error(
    target: str, converters: dict[str, Child], networks: dict[str, Network], tmp_path: Path
) -> None:
    class Unheard(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.special.bessel_j0(image).mean((2, 3))

    capture = TorchProgram.write(Unheard(), (32, 32, 3), tmp_path / "net.pt2")
    job = networks["rgb"].job(target, tmp_path, capture)
    with pytest.raises(ConversionError, match="bessel_j0") as caught:
        converters[TARGETS[target].format].call("convert", target, job)
    if TARGETS[target].format == "coreml":
        assert "an exported program: " in str(caught.value)
        assert "a TorchScript trace: " in str(caught.value)


def test_a_unit_that_is_dead_on_all_photos_is_quantised(
    converters: dict[str, Child], networks: dict[str, Network], tmp_path: Path
) -> None:
    module, network = mobilenet_like(3), networks["rgb"]
    with torch.no_grad():
        module.excite[1].bias.fill_(-100)
    capture = TorchProgram.write(module, (32, 32, 3), tmp_path / "net.pt2")
    for target in ("tflite", "tflite-int8"):
        job = network.job(target, tmp_path, capture)
        converters["tflite"].call("convert", target, job)
    scores = open_runner(job.output).scores(network.golden.pixels)
    expected = answers(module, network.contract, network.golden.pixels)
    assert abs(scores - expected).max() < 0.1
    assert (scores.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.8


def test_the_tools_are_those_of_the_route(networks: dict[str, Network]) -> None:
    capture = networks["rgb"].capture
    assert set(TARGETS["tflite"].tools_for(capture)) == {"torch", "litert-torch"}
    assert "tf2onnx" not in TARGETS["onnx"].tools_for(capture)
