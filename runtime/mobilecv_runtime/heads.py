"""The heads: what a network's last values mean, and how they become the scores of an artifact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

HeadKind: TypeAlias = Literal[
    "softmax",
    "logits",
    "sigmoid",
    "sigmoid-logits",
    "multi-label",
    "multi-label-logits",
    "regression",
]
Activation: TypeAlias = Literal["softmax", "sigmoid"]
Answer: TypeAlias = Literal["one label", "labels", "values"]
"""What scores are. `one label`: probabilities of labels that exclude each other, so that they sum
to 1. `labels`: a probability for every label by itself. `values`: numbers of any size."""

HEADS: Final[tuple[HeadKind, ...]] = get_args(HeadKind)


@dataclass(frozen=True, kw_only=True)
class _Rule:
    answer: Answer
    appended: Activation | None = None
    is_one_unit: bool = False


_RULES: Final[Mapping[HeadKind, _Rule]] = {
    "softmax": _Rule(answer="one label"),
    "logits": _Rule(answer="one label", appended="softmax"),
    "sigmoid": _Rule(answer="one label", is_one_unit=True),
    "sigmoid-logits": _Rule(answer="one label", appended="sigmoid", is_one_unit=True),
    "multi-label": _Rule(answer="labels"),
    "multi-label-logits": _Rule(answer="labels", appended="sigmoid"),
    "regression": _Rule(answer="values"),
}
_DESCRIPTIONS: Final[Mapping[Answer, str]] = {
    "one label": "image classifier with {} classes",
    "labels": "image classifier with {} independent labels",
    "values": "image regression, outputs: {}",
}


@dataclass(frozen=True, kw_only=True)
class Head:
    """What the network's last values mean, and how they become one score per label."""

    kind: HeadKind = "softmax"
    """`softmax`, `multi-label`: they are probabilities already, of labels that exclude each other
    or of labels by themselves. `sigmoid`: one unit p, answered as `[1 - p, p]` for two labels, so
    that the second label is the one that p speaks of. `logits`, `multi-label-logits` and
    `sigmoid-logits`: the same, once a softmax or a sigmoid is appended. `regression`: plain
    values."""

    @property
    def answer(self) -> Answer:
        """What the scores are."""
        return _RULES[self.kind].answer

    @property
    def appended(self) -> Activation | None:
        """What is put behind the network first of all."""
        return _RULES[self.kind].appended

    @property
    def is_one_unit(self) -> bool:
        """Whether the network gives one p, which is then answered as `[1 - p, p]`."""
        return _RULES[self.kind].is_one_unit

    @property
    def output_name(self) -> str:
        """What artifacts call their scores."""
        return "values" if self.answer == "values" else "probabilities"

    def fits(self, outputs: int) -> bool:
        """Whether a network with so many outputs can have this head."""
        return self.answer == "values" or self.is_one_unit == (outputs == 1)

    def scores_of(self, outputs: int) -> int:
        """How many scores a network with so many outputs gives behind this head."""
        return 2 if self.is_one_unit else outputs

    def describe(self, scores: int) -> str:
        """What a model with this head is, in words such as `image classifier with 10 classes`."""
        return _DESCRIPTIONS[self.answer].format(scores)

    def apply(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn what the network gives into scores.

        Args:
            outputs: (count, outputs), float32.

        Returns:
            (count, labels), float32.
        """
        if self.appended == "softmax":
            exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            outputs = exponentials / exponentials.sum(axis=1, keepdims=True)
        elif self.appended == "sigmoid":
            # 1 / (1 + exp(-x)), without an overflow of exp.
            outputs = np.exp(-np.logaddexp(np.float32(0), -outputs))
        if self.is_one_unit:
            outputs = np.concatenate([1 - outputs, outputs], axis=1)
        return outputs
