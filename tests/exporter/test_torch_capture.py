from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import torch_nets
from mobilecv.captures import TorchProgram
from mobilecv.captures.torch_tracing import quiet
from mobilecv_runtime.errors import SourceError
from mobilecv_runtime.spec import (
    PRESETS,
    Contract,
    FloatArray,
    Head,
    ImageInput,
    Labels,
    Preprocessing,
    UInt8Array,
    from_mean_std,
)
from torch_nets import Branching, ImageOut, OneImageOnly, mobilenet_like

SHAPE = (32, 32, 3)


def pixels(count: int, channels: int = 3) -> UInt8Array:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (count, 32, 32, channels), dtype=np.uint8)


def planes(values: FloatArray) -> torch.Tensor:
    """NHWC arrays as NCHW tensors."""
    return torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2)))


def answers(module: torch.nn.Module, values: torch.Tensor) -> FloatArray:
    with torch.no_grad():
        return module(values).numpy()


def answers_of(program: TorchProgram, values: torch.Tensor) -> FloatArray:
    return answers(torch.export.load(program.path).module(), values)


def test_a_module_in_training_mode_is_captured_in_evaluation_mode(tmp_path: Path) -> None:
    network = mobilenet_like(3)
    assert network.training
    program = TorchProgram.write(copy.deepcopy(network), SHAPE, tmp_path / "net.pt2")
    values = torch.randn(3, 3, 32, 32)
    assert program.dynamic_batch
    np.testing.assert_array_equal(
        answers_of(program, values), answers(network.eval(), values), strict=True
    )


def test_a_program_exported_in_training_mode_is_captured_in_evaluation_mode(
    tmp_path: Path,
) -> None:
    network = mobilenet_like(3)
    exported = torch.export.export(network, (torch.zeros(1, 3, 32, 32),))
    program = TorchProgram.write(exported.module(), SHAPE, tmp_path / "net.pt2")
    values = torch.randn(1, 3, 32, 32)
    assert not program.dynamic_batch  # The export that it came from fixed the batch.
    np.testing.assert_array_equal(answers_of(program, values), answers(network.eval(), values))


def test_a_decomposed_program_in_training_mode_is_refused(tmp_path: Path) -> None:
    exported = torch.export.export(mobilenet_like(3), (torch.zeros(1, 3, 32, 32),))
    with quiet():  # torch 2.13 warns about a class of its own.
        decomposed = exported.run_decompositions({}).module()
    with pytest.raises(SourceError, match=r"training mode.*call model\.eval\(\)"):
        TorchProgram.write(decomposed, SHAPE, tmp_path / "net.pt2")


def test_a_network_for_one_image_at_a_time_is_captured_as_such(tmp_path: Path) -> None:
    program = TorchProgram.write(OneImageOnly(), SHAPE, tmp_path / "net.pt2")
    assert not program.dynamic_batch


def test_a_decision_that_depends_on_the_pixels_is_refused_with_its_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = Path(torch_nets.__file__).read_text().splitlines()
    number = lines.index("        if means.sum() > 0:") + 1
    with pytest.raises(SourceError, match=rf"torch_nets\.py:{number} `if means\.sum\(\) > 0:`"):
        TorchProgram.write(Branching(), SHAPE, tmp_path / "net.pt2")
    assert capfd.readouterr() == ("", "")


def test_a_network_that_fails_by_itself_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"one 32x32 image of 1 channel: .*torch_nets\.py:\d+ `"):
        TorchProgram.write(mobilenet_like(3), (32, 32, 1), tmp_path / "net.pt2")


def test_a_network_without_a_row_of_scores_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"expected one row of scores"):
        TorchProgram.write(ImageOut(), SHAPE, tmp_path / "net.pt2")


def test_a_capture_needs_none_of_the_users_code(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "class Twice(torch.nn.Module):\n"
        "    def forward(self, x): return 2 * x.mean((2, 3))\n"
    )
    write = (
        "from pathlib import Path; from mine import Twice\n"
        "from mobilecv.captures import TorchProgram\n"
        "TorchProgram.write(Twice(), (8, 8, 3), Path('net.pt2'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", write], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (tmp_path / "mine.py").unlink()
    program = TorchProgram(path=tmp_path / "net.pt2", dynamic_batch=True)
    np.testing.assert_allclose(answers_of(program, torch.ones(1, 3, 8, 8)), [[2, 2, 2]])


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize(
    "preprocessing",
    [
        *PRESETS.values(),
        from_mean_std((0.4, 0.5, 0.6), (0.2, 0.25, 0.3), pixel_range=1, color="BGR"),
        Preprocessing(color="GRAY", scale=(1 / 64,), bias=(-2.0,)),
    ],
    ids=[*PRESETS, "bgr", "gray"],
)
def test_a_wrapped_network_takes_raw_pixels(
    preprocessing: Preprocessing, layout: str, tmp_path: Path
) -> None:
    channels = preprocessing.channels
    network = mobilenet_like(channels)
    program = TorchProgram.write(network, (32, 32, channels), tmp_path / "net.pt2")
    contract = a_contract(preprocessing, Head(kind="logits"), 10)
    raw = pixels(2, channels)
    expected = contract.head.apply(answers(network, planes(preprocessing.apply(raw))))
    image = torch.from_numpy(raw) if layout == "NHWC" else planes(raw)
    given = answers(program.wrapped(contract, layout=layout), image)
    np.testing.assert_allclose(given, expected, atol=1e-6)


def test_a_wrapped_network_leaves_normalisation_to_the_caller(tmp_path: Path) -> None:
    network = mobilenet_like(3)
    program = TorchProgram.write(network, SHAPE, tmp_path / "net.pt2")
    contract = a_contract(PRESETS["caffe"], Head(kind="softmax"), 10)
    values = torch.randn(1, 3, 32, 32)
    wrapped = program.wrapped(contract, layout="NCHW", normalised_outside=True)
    np.testing.assert_allclose(answers(wrapped, values), answers(network, values), atol=1e-6)


def test_a_sigmoid_answers_for_both_labels(tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 1), torch.nn.Sigmoid())
    program = TorchProgram.write(network, SHAPE, tmp_path / "net.pt2")
    contract = a_contract(PRESETS["unit"], Head(kind="sigmoid"), 2)
    raw = pixels(2)
    (first, second) = answers(program.wrapped(contract, layout="NHWC"), torch.from_numpy(raw)).T
    p = answers(network, planes(PRESETS["unit"].apply(raw)))[:, 0]
    np.testing.assert_allclose(first, 1 - p, atol=1e-6)
    np.testing.assert_allclose(second, p, atol=1e-6)


def a_contract(preprocessing: Preprocessing, head: Head, labels: int) -> Contract:
    return Contract(
        image=ImageInput(height=32, width=32, channels=preprocessing.channels),
        preprocessing=preprocessing,
        head=head,
        labels=Labels.numbered(labels),
    )
