"""What a file says about itself is held against the contract and the manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from mobilecv_runtime import Bundle
from mobilecv_runtime.manifest import ArtifactEntry
from mobilecv_runtime.runners import open_runner
from mobilecv_runtime.runners.base import Signature
from mobilecv_runtime.spec import (
    Contract,
    FloatArray,
    Head,
    ImageInput,
    Labels,
    Preprocessing,
    UInt8Array,
)
from mobilecv_runtime.verdicts import contract_verdict, promise_verdict

SIGNATURE = Signature(
    image_shape=(4, 6, 3),
    color="RGB",
    inputs=("image",),
    outputs=("probabilities", "classLabel"),
    minimum_runtime="iOS 15",
)
ENTRY = ArtifactEntry(
    id="mlpackage",
    file="a.mlpackage",
    bytes=1,
    sha256="",
    precision="float16",
    minimum_runtime="iOS 15",
    input={"name": "image"},
    output={"name": "probabilities", "label": "classLabel"},
    parity={},
)


def contract(color: str = "RGB") -> Contract:
    gray = color == "GRAY"
    return Contract(
        image=ImageInput(height=4, width=6, channels=1 if gray else 3),
        preprocessing=Preprocessing(color=color),
        head=Head(kind="softmax"),
        labels=Labels(("a", "b")),
    )


@dataclass(frozen=True)
class Fake:
    """A runner that only knows its file."""

    signature: Signature
    contract: Contract
    label_names: Sequence[str] | None = ("a", "b")
    engine: str = "none"

    def scores(self, pixels: UInt8Array) -> FloatArray:
        return np.zeros((len(pixels), 2), np.float32)


@pytest.mark.parametrize(("color", "layout"), [("RGB", "RGB"), ("BGR", "BGR"), ("BGR", "RGB")])
def test_a_layout_that_can_be_right_is_not_accused(color: str, layout: str) -> None:
    fake = Fake(replace(SIGNATURE, color=layout), contract(color))
    assert contract_verdict(fake, contract(color)) is None


def test_a_colour_layout_that_cannot_be_right_is_named() -> None:
    verdict = contract_verdict(Fake(replace(SIGNATURE, color="BGR"), contract()), contract())
    assert verdict is not None
    assert verdict.outcome == "differs"
    assert "colour layout BGR instead of RGB" in verdict.reasons[0]


def test_a_format_without_colour_layouts_is_not_asked_for_one() -> None:
    assert contract_verdict(Fake(replace(SIGNATURE, color=None), contract()), contract()) is None


@pytest.mark.parametrize("shape", [(6, 4, 3), (4, 6, 1)])
def test_another_image_shape_is_named(shape: tuple[int, int, int]) -> None:
    verdict = contract_verdict(Fake(replace(SIGNATURE, image_shape=shape), contract()), contract())
    assert verdict is not None
    assert "instead of 4x6x3" in verdict.reasons[0]


def test_every_fault_is_told_at_once() -> None:
    fake = Fake(replace(SIGNATURE, color="BGR"), contract("BGR"), label_names=None)
    verdict = contract_verdict(fake, contract())
    assert verdict is not None
    assert len(verdict.reasons) == 3
    assert verdict.reasons[0] == "it carries no labels"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"minimum_runtime": "iOS 16"}, "needs iOS 16, but the manifest promises iOS 15"),
        ({"outputs": ("Identity", "classLabel")}, "no output probabilities, only Identity"),
        ({"outputs": ("probabilities",)}, "no output classLabel"),
        ({"inputs": ("input_1",)}, "no input image, only input_1"),
    ],
)
def test_a_promise_that_the_file_does_not_keep_is_named(
    change: dict[str, object], reason: str
) -> None:
    verdict = promise_verdict(Fake(replace(SIGNATURE, **change), contract()), ENTRY)
    assert verdict is not None
    assert reason in verdict.reasons[0]


@pytest.mark.parametrize("runtime", ["iOS 15", "iOS 11.2", "iOS 9", None])
def test_a_file_that_older_runtimes_read_too_keeps_the_promise(runtime: str | None) -> None:
    fake = Fake(replace(SIGNATURE, minimum_runtime=runtime), contract())
    assert promise_verdict(fake, ENTRY) is None


def test_every_exported_file_keeps_its_contract_and_its_promise(exported: Path) -> None:
    bundle = Bundle.open(exported)
    for entry in bundle.manifest.artifacts:
        runner = open_runner(bundle.file(entry))
        assert contract_verdict(runner, bundle.contract) is None
        assert promise_verdict(runner, entry) is None
