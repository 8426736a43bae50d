from __future__ import annotations

import numpy as np
import pytest

from mobilecv_runtime.heads import HEADS, Head


@pytest.mark.parametrize(
    ("kind", "outputs", "scores"),
    [
        ("softmax", [0.25, 0.75], [0.25, 0.75]),
        ("logits", [1000.0, 1000.0], [0.5, 0.5]),
        ("sigmoid", [0.75], [0.25, 0.75]),
        ("sigmoid-logits", [0.0], [0.5, 0.5]),
        ("sigmoid-logits", [1000.0], [0.0, 1.0]),
        ("multi-label", [0.9, 0.8], [0.9, 0.8]),
        ("multi-label-logits", [-1000.0, 1000.0], [0.0, 1.0]),
        ("regression", [30.0, -2.0], [30.0, -2.0]),
    ],
)
def test_every_head_turns_outputs_into_scores(
    kind, outputs: list[float], scores: list[float]
) -> None:
    head = Head(kind=kind)
    found = head.apply(np.array([outputs], np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [scores], atol=1e-7)
    assert head.scores_of(len(outputs)) == len(scores)
    assert head.fits(len(outputs))


def test_a_head_is_said_in_words() -> None:
    assert Head(kind="logits").describe(10) == "image classifier with 10 classes"
    assert Head(kind="multi-label").describe(5) == "image classifier with 5 independent labels"
    assert Head(kind="regression").describe(1) == "image regression, outputs: 1"


def test_only_one_unit_heads_and_regressions_take_one_output() -> None:
    taking = [kind for kind in HEADS if Head(kind=kind).fits(1)]
    assert taking == ["sigmoid", "sigmoid-logits", "regression"]
