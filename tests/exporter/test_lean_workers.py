from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from mobilecv.captures import TensorFlowGraph, TorchProgram
from mobilecv.lean_workers import lean, unused_by_converter, unused_by_source
from mobilecv.sources.keras import framework
from mobilecv.sources.loading import NOTHING_STATED, LoadOptions
from mobilecv.targets import TARGETS
from mobilecv_runtime.child import Child
from mobilecv_runtime.errors import SourceError
from tests_shared import DIGITS, Cli

GRAPH = TensorFlowGraph(path=Path("graph.pb"), input="i", output="o")
PROGRAM = TorchProgram(path=Path("graph.pt2"), dynamic_batch=True)


class Importer:
    """Lives in a worker."""

    def __init__(self, first: str) -> None:
        self.first = importlib.import_module(first).__name__

    def imports(self, module: str) -> bool:
        try:
            importlib.import_module(module)
        except ImportError:
            return False
        return True

    def backend(self) -> str:
        return os.environ["KERAS_BACKEND"]


def test_a_worker_imports_all_but_what_it_is_to_leave_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")

    with Child(lean, Importer, ("wave", "os"), "colorsys", log=tmp_path / "log") as child:
        found = {name: child.call("imports", name) for name in ("wave", "colorsys", "os")}
        backend = child.call("backend")

    assert found == {"wave": False, "colorsys": True, "os": True}  # `os` was there already.
    assert backend == "tensorflow"


def test_users_own_code_may_import_anything() -> None:
    keras, weights, torch = Path("model.h5"), Path("weights.h5"), Path("model.pt")
    mine = LoadOptions(architecture="my_model.py:build")
    published = LoadOptions(architecture="keras.applications:VGG16")

    assert "pandas" in unused_by_source(keras, NOTHING_STATED)
    assert "pandas" in unused_by_source(weights, published)
    assert unused_by_source(weights, mine) == ()
    assert unused_by_source(keras, LoadOptions(allow_code=True)) == ()
    assert unused_by_source(keras, LoadOptions(custom_objects="my_layers.py:Mine")) == ()
    assert unused_by_source(torch, NOTHING_STATED) == ()


def test_a_converter_does_not_wait_for_the_other_framework() -> None:
    coreml, tflite, onnx = TARGETS["coreml"], TARGETS["tflite"], TARGETS["onnx"]
    assert {"torch", "jax"} <= set(unused_by_converter(coreml, GRAPH))
    assert "tensorflow" not in unused_by_converter(coreml, GRAPH)
    assert {"tensorflow", "keras"} <= set(unused_by_converter(coreml, PROGRAM))
    assert "torch" not in unused_by_converter(onnx, PROGRAM)
    assert unused_by_converter(tflite, PROGRAM) == ()


def test_what_is_made_from_a_float_file_needs_no_framework() -> None:
    derived = [target for target in TARGETS.values() if target.is_derived]
    assert derived
    for target in derived:
        assert {"tensorflow", "torch"} <= set(unused_by_converter(target, GRAPH))


def test_the_users_other_keras_does_not_matter(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")

    done = cli("export", DIGITS, "--to", "coreml")

    assert done.returncode == 0, done.stderr


def test_a_model_in_memory_must_run_under_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    keras = SimpleNamespace(backend=SimpleNamespace(backend=lambda: "jax"))
    monkeypatch.setattr(framework, "guest", lambda *_, **__: keras)

    with pytest.raises(SourceError, match="runs on jax in this process"):
        framework.keras_module()
