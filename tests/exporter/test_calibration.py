from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilecv.calibration import (
    CalibrationPhotos,
    Finding,
    examine,
    near_duplicates,
)
from mobilecv.photosets import calibration_set
from mobilecv.quantisation.coverage import Extremes, coverage
from mobilecv_runtime.errors import UsageError
from mobilecv_runtime.spec import Contract, Head, ImageInput, Labels, Preprocessing, UInt8Array

IMAGE = ImageInput(height=16, width=16, channels=3)
CONTRACT = Contract(
    image=IMAGE,
    preprocessing=Preprocessing(color="RGB"),
    head=Head(kind="softmax"),
    labels=Labels(("cat", "dog")),
)


def photos_like(count: int, seed: int = 0) -> UInt8Array:
    """Photos of no likeness: coarse blocks of random colours."""
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 256, (count, 8, 8, 3))
    return blocks.repeat(2, axis=1).repeat(2, axis=2).astype(np.uint8)


def good(count: int = 120, **changes: object) -> CalibrationPhotos:
    known: dict[str, object] = {
        "pixels": photos_like(count),
        "sizes": [(640, 480)] * count,
        "classes": ["cat", "dog"] * (count // 2) + ["cat"] * (count % 2),
        "image": IMAGE,
    }
    return CalibrationPhotos(**{**known, **changes})


def only(found: tuple[Finding, ...]) -> Finding:
    assert len(found) == 1, found
    return found[0]


def test_a_good_set_is_not_accused() -> None:
    assert examine(good()) == ()


@pytest.mark.parametrize(("count", "severity"), [(99, "note"), (8, "note"), (7, "warning")])
def test_few_photos_are_told(count: int, severity: str) -> None:
    found = only(examine(good(count)))
    assert (found.kind, found.severity) == ("few", severity)
    assert f"only {count} photos" in found.line


def test_one_photo_is_no_finding_about_its_class() -> None:
    assert [each.kind for each in examine(good(1))] == ["few"]


@pytest.mark.parametrize("change", ["copy", "brighter", "noise"])
def test_near_duplicates_are_counted(change: str) -> None:
    pixels = photos_like(120)
    again = pixels[:60].astype(np.int64)
    if change == "brighter":
        again = again + 6
    if change == "noise":
        again = again + np.random.default_rng(1).integers(-4, 5, again.shape)
    pixels[60:] = np.clip(again, 0, 255)
    found = only(examine(good(pixels=pixels)))
    assert (found.kind, found.severity) == ("duplicates", "warning")
    assert found.share == 0.5
    assert "60 of 120 photos are nearly the same" in found.message


def test_flat_photos_of_other_brightness_are_no_duplicates() -> None:
    """The hash of a flat photo is all zeros, whatever its colour."""
    levels = np.full((2, 16, 16, 3), (20, 20, 20), np.uint8)
    levels[1] = 200
    assert not near_duplicates(levels).any()


def test_one_class_is_told_when_the_folders_tell() -> None:
    found = only(examine(good(classes=["cat"] * 120)))
    assert (found.kind, found.severity) == ("one-class", "warning")
    assert "'cat'" in found.message
    assert examine(good(classes=[None] * 120)) == ()


def test_blank_photos_are_told_and_are_not_called_duplicates() -> None:
    pixels = photos_like(120)
    pixels[:3] = 77
    pixels[1, 0, 0] = 80
    found = only(examine(good(pixels=pixels)))
    assert (found.kind, found.severity) == ("blank", "note")
    assert "3 of 120 photos are blank" in found.message


def test_gray_photos_are_told_to_a_model_of_colours_only() -> None:
    gray = photos_like(120)[..., :1]
    found = only(examine(good(pixels=gray.repeat(3, axis=-1))))
    assert (found.kind, found.severity, found.share) == ("gray", "warning", 1)
    image = ImageInput(height=16, width=16, channels=1)
    assert examine(good(pixels=gray, image=image)) == ()


@pytest.mark.parametrize(
    ("fit", "words"),
    [("crop", "cuts away 75%"), ("pad", "75% of the input is black"), ("stretch", "to 25% of")],
)
@pytest.mark.parametrize("size", [(400, 100), (100, 400)])
def test_photos_of_another_shape_are_told(fit: str, words: str, size: tuple[int, int]) -> None:
    image = ImageInput(height=16, width=16, channels=3, fit=fit)
    sizes = [size] * 30 + [(640, 480)] * 90
    found = only(examine(good(sizes=sizes, image=image)))
    assert (found.kind, found.severity, found.share) == ("aspect", "note", 0.25)
    assert words in found.message


def test_other_files_are_named() -> None:
    found = only(examine(good(strangers=["a.csv", "b.txt", "c.txt", "d.txt"])))
    assert found.message == "left out 4 files that are no photos: a.csv, b.txt, c.txt, ..."


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[dict[str, int]], Path]:
    def make(counts: dict[str, int]) -> Path:
        for number, (name, count) in enumerate(counts.items()):
            (tmp_path / name).mkdir(parents=True, exist_ok=True)
            for index, pixels in enumerate(photos_like(count, seed=number)):
                Image.fromarray(pixels).save(tmp_path / name / f"{index:03}.png")
        return tmp_path

    return make


def test_a_folder_is_examined_as_the_network_sees_it(folder) -> None:
    root = folder({"cat": 3, "dog": 1})
    (root / "notes.txt").write_text("not a photo")
    (root / ".DS_Store").write_bytes(b"hidden")
    (root / "dog" / "broken.jpg").write_text("a text with a photo's name")
    found = calibration_set(root, CONTRACT, 200)
    assert (found.pixels.shape, found.found, found.folders) == ((4, 16, 16, 3), 5, 2)
    assert [finding.kind for finding in found.findings] == ["few", "strangers"]
    assert "dog/broken.jpg" in found.notes[0]
    assert found.notes[1].startswith("calibration: warning: only 4 photos, so int8 will clip")
    assert found.notes[2].endswith("left out 1 file that is no photo: notes.txt")


def test_a_folder_that_is_itself_a_class_is_seen_through(folder) -> None:
    found = calibration_set(folder({"cat": 10}) / "cat", CONTRACT, 200)
    assert [finding.kind for finding in found.findings] == ["few", "one-class"]


def test_a_photo_on_its_side_counts_as_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = ImageInput(height=16, width=48, channels=3)
    for index, pixels in enumerate(photos_like(10)):
        tall = Image.fromarray(pixels).resize((16, 48))
        tall.save(tmp_path / f"{index}.jpg", exif=exif)
    found = calibration_set(tmp_path, CONTRACT.__class__(**{**vars(CONTRACT), "image": image}), 10)
    assert [finding.kind for finding in found.findings] == ["few"]


def test_a_blank_set_is_refused(tmp_path: Path) -> None:
    for level in range(5):
        Image.new("RGB", (8, 8), (level, level, level)).save(tmp_path / f"{level}.png")
    with pytest.raises(UsageError, match="all 5 photos taken for calibration are blank"):
        calibration_set(tmp_path, CONTRACT, 200)


def extremes(high: list[list[float]]) -> Extremes:
    top = np.array(high, np.float32)
    return Extremes(names=("a", "b"), low=np.zeros_like(top), high=top)


def test_ranges_that_every_half_shows_do_not_move() -> None:
    found = coverage(extremes([[1, 2]] * 10))
    assert found is not None
    assert (found.median, found.worst, found.note) == (0, 0, None)


def test_a_range_that_rests_on_one_photo_moves_in_one_half_of_every_split() -> None:
    found = coverage(extremes([[4, 1]] + [[1, 1]] * 9))
    assert found is not None
    assert found.worst == pytest.approx((0 + 0.75) / 2)
    assert (found.worst_tensor, found.images) == ("a", 10)
    assert found.note is not None
    assert "38% in a" in found.note


def test_one_photo_or_a_dead_network_has_no_coverage() -> None:
    assert coverage(extremes([[1, 2]])) is None
    assert coverage(extremes([[0, 0], [0, 0]])) is None
