"""Labels that stand by themselves, and plain values, held against the source's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mobilecv_runtime.heads import Answer
from mobilecv_runtime.parity import TOLERANCES, Verdict, compare, judge, tolerance_of

NAMES = [f"{number}.png" for number in range(100)]
Spoil = Callable[[np.ndarray], np.ndarray]


def verdict(reference: np.ndarray, scores: np.ndarray, precision: str, answer: Answer) -> Verdict:
    reference, scores = reference.astype(np.float32), scores.astype(np.float32)
    near_tie = tolerance_of(precision, answer).near_tie
    found = compare(reference, scores, near_tie=near_tie, names=NAMES, answer=answer)
    return judge(found, precision)


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def logit(p: np.ndarray) -> np.ndarray:
    return np.log(p / (1 - p))


@pytest.fixture
def labels() -> np.ndarray:
    return sigmoid(np.random.default_rng(0).normal(scale=2, size=(100, 5)))


@pytest.fixture
def values() -> np.ndarray:
    spread = np.random.default_rng(0).normal(size=(100, 3))
    return spread * [10, 0.5, 1e-3] + [30, -2, 1e-3]


@pytest.mark.parametrize("precision", list(TOLERANCES))
def test_equal_scores_agree(precision, labels: np.ndarray, values: np.ndarray) -> None:
    for answer, scores in (("labels", labels), ("values", values)):
        found = verdict(scores, scores, precision, answer)
        assert found.outcome == "agrees"
        assert found.comparison is not None
        assert found.comparison.agreement == 1


@pytest.mark.parametrize("precision", list(TOLERANCES))
@pytest.mark.parametrize(
    "spoil",
    [
        logit,
        sigmoid,
        lambda p: p / p.sum(axis=1, keepdims=True),
        lambda p: p[::-1],
        lambda p: np.roll(p, 1, axis=1),
        lambda p: 1 - p,
        lambda p: np.where(p == p[3, 3], np.nan, p),
    ],
    ids=["logits", "double sigmoid", "normalised", "other images", "shifted", "turned", "NaN"],
)
def test_a_fault_of_labels_differs(precision, spoil: Spoil, labels: np.ndarray) -> None:
    found = verdict(labels, spoil(labels), precision, "labels")
    assert found.outcome == "differs"
    assert found.reasons


@pytest.mark.parametrize("precision", list(TOLERANCES))
@pytest.mark.parametrize(
    "spoil",
    [
        lambda v: v[::-1],
        lambda v: np.roll(v, 1, axis=1),
        lambda v: v * 1.5,
        lambda v: np.broadcast_to(v.mean(axis=0), v.shape),
        lambda v: np.add(v, [0, 0.2, 0]),
        lambda v: np.where(v == v[3, 2], np.inf, v),
    ],
    ids=["other images", "shifted", "scaled", "constant", "one biased", "infinite"],
)
def test_a_fault_of_values_differs(precision, spoil: Spoil, values: np.ndarray) -> None:
    found = verdict(values, spoil(values), precision, "values")
    assert found.outcome == "differs"
    assert found.reasons


def test_labels_at_the_threshold_are_near_ties() -> None:
    reference = np.array([[0.9, 0.500004], [0.9, 0.7]])
    moved = np.array([[0.9, 0.499999], [0.9, 0.7]])
    found = verdict(reference, moved, "float32", "labels")
    assert found.outcome == "agrees"
    assert found.comparison is not None
    assert (found.comparison.agreeing, found.comparison.near_ties) == (1, 1)
    wrong = verdict(reference, np.array([[0.9, 0.500004], [0.9, 0.4]]), "float16", "labels")
    assert any("label set agreement 50.0%" in reason for reason in wrong.reasons)


def test_a_label_held_for_sure_shows_its_faults_in_what_is_left() -> None:
    """0.99 for 0.999 is a difference of 0.009, but ten times the doubt."""
    reference, doubted = np.full((10, 2), 0.999), np.full((10, 2), 0.99)
    found = verdict(reference, doubted, "float16", "labels")
    assert found.outcome == "differs"
    assert any("ln p" in reason for reason in found.reasons)


def test_values_are_held_against_their_own_spread(values: np.ndarray) -> None:
    moved = np.add(values, [0, 0, 2e-4])  # A fifth of the third output's spread.
    found = verdict(values, moved, "float16", "values")
    assert found.comparison is not None
    assert found.comparison.max_difference == pytest.approx(0.2, rel=0.2)
    assert found.outcome == "differs"
    assert verdict(values, np.add(values, [0.2, 0, 0]), "float16", "values").outcome == "agrees"


def test_a_value_that_never_varies_is_held_against_its_size() -> None:
    constant = np.tile([1000.0, 0.0], (4, 1))
    assert verdict(constant, constant * (1 + 5e-7), "float32", "values").outcome == "agrees"
    assert verdict(constant, np.add(constant, [1, 0]), "float32", "values").outcome == "differs"
    assert verdict(constant, np.add(constant, [0, 1]), "int8", "values").outcome == "differs"


def test_what_values_have_not_is_left_out(values: np.ndarray) -> None:
    found = verdict(values, values, "float32", "values").to_json()
    assert found["values_agreement"] == 1
    assert "top1_agreement" not in found
    assert (found["mean_log_difference"], found["largest_sum_error"]) == (None, None)
