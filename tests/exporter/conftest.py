from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import torch_models

ModelMaker = Callable[..., Path]


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> ModelMaker:
    """A small seeded Keras model of some kind, made once; see `make_models.py`."""
    made: dict[tuple[str, str], Path] = {}

    def make(kind: str, suffix: str = ".keras") -> Path:
        if (kind, suffix) not in made:
            path = tmp_path_factory.mktemp(kind) / f"{kind}{suffix}"
            script = Path(__file__).with_name("make_models.py")
            subprocess.run([sys.executable, script, kind, path], check=True, capture_output=True)
            made[kind, suffix] = path
        return made[kind, suffix]

    return make


@pytest.fixture(scope="session")
def torch_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small PyTorch models; see `torch_models.py`."""
    folder = tmp_path_factory.mktemp("torch")
    torch_models.write_all(folder)
    return folder
