"""`inspect` looks into PyTorch files without torch and without running them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mobilecv.sources.pytorch.inspection import inspect_torch
from tests_shared import Cli

PARAMETERS = 8 * 3 * 9 + 8 + 4 * 8 + 8 * 4 + 4
"""Of the convolution, batch normalisation with its statistics, and the last layer."""


@pytest.mark.parametrize(
    ("name", "format_", "dtype"),
    [
        ("plain.pt", "PyTorch state dict", "float32"),
        ("legacy.th", "PyTorch state dict of torch before 1.6", "float32"),
        ("half.pt", "PyTorch state dict", "float16"),
        ("bfloat.pt", "PyTorch state dict", "bfloat16"),
        ("plain.safetensors", "safetensors state dict", "float32"),
        ("module.pt", "PyTorch pickle: nets.Net", "float32"),
        ("legacy_module.pt", "PyTorch pickle of torch before 1.6: nets.Net", "float32"),
        ("scripted.pt", "TorchScript", "float32"),
        ("any_batch.pt2", "torch.export program, torch ", "float32"),
    ],
)
def test_format_weights_and_types_are_told(
    name: str, format_: str, dtype: str, torch_files: Path
) -> None:
    found = inspect_torch(torch_files / name)
    assert found.format.startswith(format_)
    assert found.data_types[dtype] == PARAMETERS
    # The count of training steps that batch normalisation keeps.
    assert found.parameters == PARAMETERS + 1


def test_nesting_prefix_and_imports_are_told(torch_files: Path) -> None:
    assert inspect_torch(torch_files / "nested.pth").metadata["nested under"] == "state_dict"
    assert inspect_torch(torch_files / "twice.bin").metadata["nested under"] == "model.state_dict"
    assert inspect_torch(torch_files / "parallel.pt").metadata["prefix"] == "module."
    assert "nets.Headed" in inspect_torch(torch_files / "classes.pt").metadata["would import"]
    assert "would import" not in inspect_torch(torch_files / "namespace.pt").metadata


def test_operations_are_counted_where_the_file_holds_the_network(torch_files: Path) -> None:
    assert inspect_torch(torch_files / "one.pt2").operations["aten.linear.default"] == 1
    assert inspect_torch(torch_files / "traced.ts").operations["linear"] == 1


def test_the_command_line_prints_it(torch_files: Path, cli: Cli) -> None:
    done = cli("inspect", torch_files / "parallel.pt")
    assert done.returncode == 0, done.stderr
    assert f"weights    {PARAMETERS + 1} (float32 {PARAMETERS}, int64 1)" in done.stdout
    assert "prefix: module." in done.stdout
    assert "operations" not in done.stdout


def test_torch_is_not_started(torch_files: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from mobilecv.sources.pytorch.inspection import inspect_torch\n"
        "for name in sys.argv[1:]: inspect_torch(Path(name))\n"
        "print('torch' in sys.modules, 'nets' in sys.modules)"
    )
    files = [torch_files / name for name in ("plain.pt", "module.pt", "traced.ts", "one.pt2")]
    done = subprocess.run(
        [sys.executable, "-c", code, *files], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False False\n"
