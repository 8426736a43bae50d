"""What the Android app feeds and reads, with the real LiteRT in place of a phone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from apps.android_tools import core_jar, java, kotlinc
from mobilecv_runtime.bundle import Bundle
from tests_shared import ROOT

STAND_IN = ROOT / "tests" / "apps" / "android_stand_in"


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    jar = tmp_path_factory.mktemp("stand-in") / "stand-in.jar"
    done = kotlinc([STAND_IN], jar, "-Werror", classpath=[core_jar()])
    assert done.returncode == 0, done.stderr
    return jar


def test_the_apps_tensors_get_the_recorded_answers(
    stand_in: Path, exported: Path, tmp_path: Path
) -> None:
    bundle = Bundle.open(exported)
    models = {a.id: bundle.file(a) for a in bundle.manifest.artifacts if a.file.endswith(".tflite")}
    assert {"tflite", "tflite-int8"} <= set(models)
    app(stand_in, "write", exported, tmp_path)
    for artifact, model in models.items():
        run(model, artifact, tmp_path)
    verdicts = Counter(app(stand_in, "judge", exported, tmp_path))
    assert verdicts == {f"{artifact} AGREES": len(bundle.golden.images) for artifact in models}


def test_inverted_pixels_are_noticed(stand_in: Path, exported: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(exported)
    app(stand_in, "write", exported, tmp_path)
    for file in tmp_path.glob("tflite-[0-9]*.in"):
        file.write_bytes((255 - np.frombuffer(file.read_bytes(), np.float32)).tobytes())
    for artifact in bundle.manifest.artifacts:
        if artifact.file.endswith(".tflite"):
            run(bundle.file(artifact), artifact.id, tmp_path)
    verdicts = app(stand_in, "judge", exported, tmp_path)
    assert "tflite DIFFERS" in verdicts
    assert "tflite-int8 DIFFERS" not in verdicts


def app(stand_in: Path, half: str, bundle: Path, tensors: Path) -> list[str]:
    """Run one half of the self-check: per golden image the artifact and the verdict, if any."""
    done = java("StandInKt", half, bundle, tensors, classpath=[stand_in])
    assert done.returncode == 0, done.stderr
    return [" ".join(line.split()[:2]) for line in done.stdout.splitlines()]


def run(model: Path, artifact: str, tensors: Path) -> None:
    """Answer every `.in` of an artifact; bytes in and bytes out, as on the phone."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(model))
    interpreter.allocate_tensors()
    (into,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    for file in tensors.glob(f"{artifact}-[0-9]*.in"):
        values = np.frombuffer(file.read_bytes(), into["dtype"]).reshape(into["shape"])
        interpreter.set_tensor(into["index"], values)
        interpreter.invoke()
        file.with_suffix(".out").write_bytes(interpreter.get_tensor(out["index"]).tobytes())
