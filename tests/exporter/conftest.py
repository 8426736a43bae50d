from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

import torch_models
from mobilecv.lean_workers import lean
from mobilecv_runtime.child import Child
from tests_shared import BESIDE_KERAS, instance

ModelMaker = Callable[..., Path]


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelMaker]:
    """A small seeded Keras model of some kind, made once; see `keras_models.py`."""
    folder = tmp_path_factory.mktemp("models")
    with ExitStack() as stack:

        @cache
        def maker() -> Child:
            held = (instance, BESIDE_KERAS, "keras_models", "Maker")
            return stack.enter_context(Child(lean, *held, log=folder / "log"))

        @cache
        def make(kind: str, suffix: str = ".keras") -> Path:
            path = folder / f"{kind}{suffix}"
            maker().call("make", kind, str(path))
            return path

        yield make


@pytest.fixture(scope="session")
def torch_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small PyTorch models; see `torch_models.py`."""
    folder = tmp_path_factory.mktemp("torch")
    torch_models.write_all(folder)
    return folder
