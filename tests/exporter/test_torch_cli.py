"""PyTorch files from the command line, through export, verify and bench, as a user has them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mobilecv.targets import TARGETS
from mobilecv_runtime import Bundle
from tests_shared import Cli

STATED = ("--size", "32x24", "--preset", "torch")
SHUFFLING = """
import torch

class Shuffling(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 4, stride=4)
        self.branch = torch.nn.Conv2d(8, 8, 1)
        self.fc = torch.nn.Linear(16, 4)

    def forward(self, x):
        x = self.conv(x)
        x = torch.cat((x, self.branch(x)), dim=1)
        batch, channels, height, width = x.size()
        x = x.view(batch, 2, channels // 2, height, width)
        x = torch.transpose(x, 1, 2).contiguous().view(batch, channels, height, width)
        return self.fc(x.relu().mean([2, 3]))

def build():
    return Shuffling()
"""


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "four.txt"
    path.write_text("ant\nbee\ncow\ndog\n")
    return path


@pytest.fixture(autouse=True)
def _own_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOBILECV_STATE_DIR", str(tmp_path / "state"))


def verified(cli: Cli, *words: object) -> dict[str, Any]:
    done = cli("verify", "--json", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("plain.safetensors", ("--architecture", "{nets}:build", *STATED)),
        ("scripted.pt", STATED),
        ("module.pt", ("--allow-pickle", *STATED)),
        ("any_batch.pt2", ("--preset", "torch")),
    ],
)
def test_a_file_of_every_kind_is_exported_and_verified(
    file: str, words: tuple[str, ...], torch_files: Path, labels: Path, cli: Cli
) -> None:
    stated = [word.replace("{nets}", str(torch_files / "nets.py")) for word in words]
    done = cli("export", torch_files / file, *stated, "--labels", labels, "--to", "onnx",
               "-o", "bundle")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    report = verified(cli, "bundle")
    assert [row["id"] for row in report["artifacts"]] == ["source", "onnx"]
    assert all(row["outcome"] == "agrees" for row in report["artifacts"])


def test_a_network_that_needs_a_later_ios_is_promised_for_that_one(
    labels: Path, cli: Cli, tmp_path: Path
) -> None:
    """coremltools writes ShuffleNet's shuffle as a `concatND` that interleaves, new in iOS 14."""
    import torch

    (tmp_path / "shuffling.py").write_text(SHUFFLING)
    names: dict[str, Any] = {}
    exec(SHUFFLING, names)
    torch.save(names["build"]().state_dict(), tmp_path / "shuffling.pth")
    done = cli("export", "shuffling.pth", "--architecture", "shuffling.py:build", *STATED,
               "--labels", labels, "--to", "coreml,mlpackage", "-o", "bundle")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    entries = {entry.id: entry for entry in Bundle.open(tmp_path / "bundle").manifest.artifacts}
    assert entries["coreml"].minimum_runtime == "iOS 14"
    assert entries["mlpackage"].minimum_runtime == "iOS 15"
    verified(cli, "bundle")


@pytest.mark.parametrize(
    "architecture", ["torchvision.models:squeezenet1_1", "timm:mobilenetv3_small_050"]
)
def test_a_published_architecture_brings_its_own_size_and_preprocessing(
    architecture: str, cli: Cli, tmp_path: Path
) -> None:
    import torch

    from mobilecv.sources.architectures import Architecture

    network = Architecture.parse(architecture).build({"num_classes": 4}, tmp_path)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    (tmp_path / "labels.txt").write_text("ant\nbee\ncow\ndog\n")
    done = cli("export", "weights.pth", "--architecture", architecture, "--architecture-args",
               '{"num_classes": 4}', "--to", "tflite")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    contract = Bundle.open(tmp_path / "weights-mobilecv").contract
    assert contract.image.shape == (224, 224, 3)
    assert contract.preprocessing.scales[0] == pytest.approx(1 / 255 / 0.229)
    assert [row["id"] for row in verified(cli)["artifacts"]] == ["source", "tflite"]


def test_every_target_is_made_verified_and_timed(
    torch_files: Path, labels: Path, digits_photos: Path, cli: Cli, tmp_path: Path
) -> None:
    nets = torch_files / "nets.py"
    done = cli("export", torch_files / "nested.pth", "--architecture", f"{nets}:build", *STATED,
               "--labels", labels, "--calibration", digits_photos / "calibration")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    report = verified(cli)
    found = {row["id"]: row for row in report["artifacts"]}
    assert {"source", *TARGETS} <= found.keys()
    for id_ in ("coreml", "tflite", "onnx"):
        assert found[id_]["max_difference"] < 1e-5
    tools = json.loads((tmp_path / "nested-mobilecv" / "mobilecv.json").read_text())["tools"]
    assert {"torch", "litert-torch", "onnxscript", "coremltools"} <= tools.keys()
    assert "tf2onnx" not in tools
    timed = cli("bench", "--runs", "3", "--json")
    assert timed.returncode == 0, timed.stderr
    names = [timing["name"] for timing in json.loads(timed.stdout)["timings"]]
    assert names == ["source", *TARGETS]


def test_a_strangers_bundle_runs_no_code_of_its_own(
    torch_files: Path, labels: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who did not export it himself is told what to pass, and nothing has run."""
    nets = tmp_path / "theirs.py"
    nets.write_text(
        (torch_files / "nets.py").read_text()
        + "\nimport os, pathlib\n"
        + "pathlib.Path(os.environ['TRACE']).write_text('ran')\n"
    )
    trace = tmp_path / "trace"
    monkeypatch.setenv("TRACE", str(trace))
    done = cli("export", torch_files / "plain.pt", "--architecture", f"{nets}:build", *STATED,
               "--labels", labels, "--to", "onnx")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert trace.exists()
    trace.unlink()
    monkeypatch.setenv("MOBILECV_STATE_DIR", str(tmp_path / "another user"))
    report = verified(cli)
    assert [row["id"] for row in report["artifacts"]] == ["onnx"]
    assert any("--architecture" in note for note in report["notes"]), report["notes"]
    assert not trace.exists()
    assert os.environ["TRACE"] == str(trace)
    named = verified(cli, "--architecture", f"{nets}:build")
    assert [row["id"] for row in named["artifacts"]] == ["source", "onnx"]
    assert trace.exists()
