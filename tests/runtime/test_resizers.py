"""The emulated resizers against their originals."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from mobilecv_runtime.images import prepare
from mobilecv_runtime.resizers import RESIZERS, emulate, two_tap_rounded, two_tap_truncated
from mobilecv_runtime.spec import ImageInput, UInt8Array

SIZES = ((40, 31), (16, 16), (97, 120), (64, 48))


@pytest.fixture(scope="module")
def photo() -> UInt8Array:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (64, 48, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_opencv_is_matched_within_one_level(photo: UInt8Array, size: tuple[int, int]) -> None:
    ours = two_tap_rounded(photo, *size)
    theirs = cv2.resize(photo, size[::-1], interpolation=cv2.INTER_LINEAR)
    difference = np.abs(ours.astype(int) - theirs)
    assert difference.max() <= 1
    assert difference.mean() < 0.2


@pytest.mark.parametrize("size", SIZES)
def test_pytorch_without_antialiasing_is_matched(photo: UInt8Array, size: tuple[int, int]) -> None:
    """Its arithmetic is TensorFlow's: centres at half a pixel, two taps, float32."""
    torch = pytest.importorskip("torch")
    image = torch.from_numpy(photo.transpose(2, 0, 1)[None].astype(np.float32))
    theirs = torch.nn.functional.interpolate(image, size, mode="bilinear", align_corners=False)
    theirs = theirs[0].permute(1, 2, 0).numpy()
    assert np.abs(two_tap_truncated(photo, *size) - np.floor(theirs + 1e-3)).max() <= 1
    assert (two_tap_truncated(photo, *size) == np.floor(theirs + 1e-3)).mean() > 0.99


@pytest.mark.parametrize("name", RESIZERS)
@pytest.mark.parametrize("fit", ["crop", "stretch", "pad"])
def test_a_photo_of_the_wanted_size_stays_as_it_is(photo: UInt8Array, name: str, fit: str) -> None:
    image = ImageInput(height=64, width=48, channels=3, fit=fit)
    assert np.array_equal(emulate(Image.fromarray(photo), image, RESIZERS[name]), photo)


@pytest.mark.parametrize("name", RESIZERS)
def test_the_box_is_that_of_the_exact_path(name: str) -> None:
    """A coarse picture looks alike in every resizer; another crop would move its edges."""
    coarse = np.kron(np.arange(12).reshape(3, 4, 1) * 20, np.ones((40, 40, 3))).astype(np.uint8)
    picture = Image.fromarray(coarse)
    for fit in ("crop", "stretch", "pad"):
        image = ImageInput(height=30, width=30, channels=3, fit=fit)
        exact = prepare(picture, image).astype(int)
        assert np.abs(emulate(picture, image, RESIZERS[name]) - exact).mean() < 4
