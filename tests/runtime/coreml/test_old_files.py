"""Files that old coremltools wrote from old Keras and TensorFlow, against what those answered.

The files and the scripts that made them lie in `tests/golden/coreml_old`.
"""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobilecv_runtime.coreml.executor import CoremlExecutor
from mobilecv_runtime.coreml.model import read_coreml
from mobilecv_runtime.coreml.neural_network import lower_neural_network
from mobilecv_runtime.coreml.protobuf import Message
from mobilecv_runtime.coreml.schema import SCHEMA
from mobilecv_runtime.errors import BundleError
from tests_shared import ROOT

FOLDER = ROOT / "tests" / "golden" / "coreml_old"
VERSIONS = {
    "keras1_activations": 1,
    "keras1_gray": 1,
    "keras1_old_layers": 1,
    "keras2_joined": 1,
    "keras2_mobile": 1,
    "keras2_plain": 1,
    "keras2_plain_float16": 2,
    "keras2_plain_linear5": 3,
    "keras2_plain_linear8": 3,
    "keras2_plain_table4": 3,
    "tensorflow2_coremltools3": 4,
    "tensorflow2_coremltools4": 4,
}


def test_every_file_that_lies_there_is_tested() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.mlmodel")) == sorted(VERSIONS)


@pytest.mark.parametrize("name", VERSIONS)
def test_an_old_file_answers_as_the_framework_that_it_came_from(name: str) -> None:
    executor = CoremlExecutor(FOLDER / f"{name}.mlmodel")
    with np.load(FOLDER / f"{name}.npz") as recorded:
        pixels, expected = recorded["pixels"], recorded["scores"]
    assert executor.labels == ("ant", "bee", "cat", "dog")
    np.testing.assert_allclose(executor.scores(pixels), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", VERSIONS)
def test_an_old_file_needs_what_it_states(name: str) -> None:
    description = read_coreml(FOLDER / f"{name}.mlmodel")
    assert description.specification_version == VERSIONS[name]
    assert description.need.version == VERSIONS[name]


def test_compressed_weights_change_the_scores() -> None:
    scores = {name: np.load(FOLDER / f"{name}.npz")["scores"] for name in VERSIONS}
    for name in ("float16", "linear5", "linear8", "table4"):
        assert np.abs(scores[f"keras2_plain_{name}"] - scores["keras2_plain"]).max() > 5e-5


@pytest.mark.parametrize("compression", ["float16", "linear5", "table4"])
@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_file_with_mangled_weights_is_lowered_or_refused_and_never_crashes(
    compression: str, data: st.DataObject
) -> None:
    mangled = bytearray((FOLDER / f"keras2_plain_{compression}.mlmodel").read_bytes())
    places = st.integers(0, len(mangled) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=8)):
        mangled[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(places, st.just(len(mangled))))
    with contextlib.suppress(BundleError):
        lower_neural_network(Message(memoryview(mangled)[:end], "Model", SCHEMA), "stored")
