from __future__ import annotations

import numpy as np
import pytest

from mobilecv_runtime.heads import Answer
from mobilecv_runtime.parity import (
    TOLERANCES,
    Comparison,
    compare,
    indifference,
    judge,
    labels_verdict,
    wilson_interval,
)
from mobilecv_runtime.spec import Labels

NAMES = [f"{number}.png" for number in range(100)]


def softmax(values: np.ndarray) -> np.ndarray:
    exponentials = np.exp(values - values.max(axis=1, keepdims=True))
    return (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def scores() -> np.ndarray:
    return softmax(np.random.default_rng(0).normal(scale=3, size=(100, 10)))


def held(reference: np.ndarray, scores: np.ndarray, near_tie: float = 0.0) -> Comparison:
    return compare(reference, scores.astype(np.float32), near_tie=near_tie, names=NAMES)


def test_equal_scores_agree(scores: np.ndarray) -> None:
    verdict = judge(held(scores, scores), "float32")
    assert verdict.outcome == "agrees"
    assert verdict.comparison is not None
    assert verdict.comparison.agreement == 1
    assert verdict.comparison.max_difference == 0


def test_the_worst_image_is_named(scores: np.ndarray) -> None:
    spoiled = scores.copy()
    spoiled[42] = spoiled[42][::-1]
    found = held(scores, spoiled)
    assert found.worst_image == "42.png"
    assert found.max_difference == pytest.approx(np.abs(scores[42] - scores[42][::-1]).max())


@pytest.mark.parametrize("precision", list(TOLERANCES))
@pytest.mark.parametrize(
    "spoil",
    [
        np.log,
        softmax,
        lambda p: p[::-1],
        lambda p: np.roll(p, 1, axis=1),
        lambda p: np.full_like(p, 0.1),
        lambda p: np.where(p == p[3, 3], np.nan, p),
        lambda p: p * 0,
    ],
    ids=["logits", "double softmax", "other images", "shifted", "constant", "NaN", "zeros"],
)
def test_a_planted_fault_differs_at_every_precision(precision, spoil, scores: np.ndarray) -> None:
    verdict = judge(held(scores, spoil(scores)), precision)
    assert verdict.outcome == "differs"
    assert verdict.reasons


@pytest.mark.parametrize(("precision", "size"), [("float32", 3e-5), ("float16", 3e-2)])
def test_a_difference_above_the_tolerance_differs(
    precision, size: float, scores: np.ndarray
) -> None:
    spoiled = scores.copy()
    spoiled[7, 0] += size
    verdict = judge(held(scores, spoiled), precision)
    assert verdict.outcome == "differs"
    assert "7.png" in verdict.reasons[0]


def test_a_disagreement_on_a_near_tie_is_counted_apart() -> None:
    reference = np.array([[0.500001, 0.499999], [0.9, 0.1]], np.float32)
    other = np.array([[0.499999, 0.500001], [0.9, 0.1]], np.float32)
    found = held(reference, other, near_tie=1e-5)
    assert (found.agreeing, found.near_ties) == (1, 1)
    assert judge(found, "float32").outcome == "agrees"


def test_int8_may_move_one_image_far_but_not_flip_four_of_a_hundred(scores: np.ndarray) -> None:
    moved = scores.copy()
    moved[0] = softmax(np.log(scores[:1]) * 0.5)[0]
    assert judge(held(scores, moved), "int8").outcome == "agrees"
    sure = np.tile(np.array([[0.9, 0.1]], np.float32), (100, 1))
    flipped = sure.copy()
    flipped[:4] = flipped[:4, ::-1]
    assert judge(held(sure, flipped), "int8").outcome == "differs"


def test_one_image_of_sixteen_does_not_condemn_int8_but_two_do() -> None:
    sure = np.tile(np.array([[0.7, 0.3]], np.float32), (16, 1))
    for flips, outcome in ((1, "agrees"), (2, "differs")):
        flipped = sure.copy()
        flipped[:flips] = flipped[:flips, ::-1]
        assert judge(held(sure, flipped), "int8").outcome == outcome
        assert judge(held(sure, flipped), "float16").outcome == "differs"


def test_shapes_that_differ_cannot_be_compared(scores: np.ndarray) -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        held(scores, scores[:, :9])


def test_the_wilson_interval_is_the_published_one() -> None:
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson_interval(29, 29) == pytest.approx((0.8830, 1.0), abs=1e-4)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (None, "no labels"),
        (("a", "b"), "2 labels instead of 3"),
        (("b", "a", "c"), "another order: number 0 is 'b' instead of 'a'"),
        (("a", "b", "x"), "different: number 2 is 'x'"),
    ],
)
def test_labels_are_compared_by_name(found, message: str) -> None:
    assert message in (labels_verdict(Labels(("a", "b", "c")), found) or "")


def test_right_labels_pass() -> None:
    assert labels_verdict(Labels(("a", "b")), ["a", "b"]) is None


@pytest.mark.parametrize("kind", ["one label", "labels", "values"])
def test_scores_that_hardly_vary_are_told(kind: Answer, scores: np.ndarray) -> None:
    alike = np.repeat(scores[:1], 16, axis=0)
    alike[3] += 1e-5 * alike[3].max()
    assert "all 16 images alike" in (indifference(alike, kind) or "")
    assert indifference(scores, kind) is None
    assert indifference(alike[:1], kind) is None
    # Values may be small by nature.
    assert (indifference(1e-4 * scores, kind) is None) == (kind == "values")
