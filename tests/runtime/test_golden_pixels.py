"""The golden pixels that the phones' ports are held to are those of the reference, to the byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mobilecv_runtime.images import prepare
from mobilecv_runtime.spec import ImageInput
from tests_shared import ROOT

FOLDER = ROOT / "tests" / "golden" / "pixels"
CASES: dict[str, Any] = json.loads((FOLDER / "cases.json").read_text())
PIXELS = np.frombuffer((FOLDER / "pixels.bin").read_bytes(), np.uint8)


def pixels_at(offset: int, *shape: int) -> NDArray[np.uint8]:
    return PIXELS[offset : offset + int(np.prod(shape))].reshape(shape)


def photo(name: str) -> Image.Image:
    entry = CASES["photos"][name]
    return Image.fromarray(pixels_at(entry["offset"], entry["height"], entry["width"], 3))


def test_every_geometry_gives_the_golden_pixels() -> None:
    for case in CASES["fits"]:
        image = ImageInput(**case["image"])
        expected = pixels_at(case["offset"], *image.shape)
        assert np.array_equal(prepare(photo(case["photo"]), image), expected), case


@pytest.mark.parametrize("case", CASES["orientations"], ids=lambda case: str(case["exif"]))
def test_every_orientation_stands_upright(case: dict[str, Any], tmp_path: Path) -> None:
    stored = photo(case["photo"])
    stored.getexif()[0x0112] = case["exif"]
    stored.save(tmp_path / "turned.png", exif=stored.getexif())
    upright = ImageInput(height=case["height"], width=case["width"], channels=3)
    expected = pixels_at(case["offset"], *upright.shape)
    assert np.array_equal(prepare(tmp_path / "turned.png", upright), expected)


def test_the_script_that_wrote_them_still_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import golden.make_pixels as script

    monkeypatch.setattr(script, "FOLDER", tmp_path)
    script.main()
    for name in ("cases.json", "pixels.bin"):
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes()
