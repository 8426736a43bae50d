from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from mobilecv_runtime.errors import ImageError
from mobilecv_runtime.images import crop_box, padded_size, prepare
from mobilecv_runtime.spec import ImageInput

COLOR = ImageInput(height=4, width=6, channels=3)
GRAY = ImageInput(height=4, width=6, channels=1)


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_a_photo_of_the_right_size_is_copied(tmp_path: Path) -> None:
    pixels = noise(4, 6)
    path = saved(Image.fromarray(pixels), tmp_path / "a.png")
    assert (prepare(path, COLOR) == pixels).all()


def test_crop_keeps_the_central_box_and_resamples_it_as_pillow_does() -> None:
    photo = Image.fromarray(noise(100, 60))
    expected = photo.crop((0, 30, 60, 70)).resize((6, 4), Image.Resampling.BILINEAR)
    assert (prepare(photo, COLOR) == np.asarray(expected)).all()


@pytest.mark.parametrize(
    ("photo", "size", "fraction", "box"),
    [
        ((100, 60), (10, 10), 1.0, (20, 0, 80, 60)),
        ((60, 100), (10, 10), 1.0, (0, 20, 60, 80)),
        ((256, 256), (224, 224), 0.875, (16, 16, 240, 240)),
        ((5, 3), (224, 224), 0.875, (1, 0, 4, 3)),
        ((1, 1), (224, 224), 0.01, (0, 0, 1, 1)),
    ],
)
def test_the_crop_box_is_central_and_whole(
    photo: tuple[int, int], size: tuple[int, int], fraction: float, box: tuple[int, ...]
) -> None:
    assert crop_box(photo, size, fraction) == box


def test_stretch_uses_the_whole_photo() -> None:
    photo = Image.fromarray(noise(50, 20))
    image = ImageInput(height=4, width=6, channels=3, fit="stretch", resample="bicubic")
    expected = photo.resize((6, 4), Image.Resampling.BICUBIC)
    assert (prepare(photo, image) == np.asarray(expected)).all()


def test_pad_frames_the_photo_in_black() -> None:
    image = ImageInput(height=4, width=8, channels=3, fit="pad")
    framed = prepare(Image.new("RGB", (10, 10), (200, 100, 50)), image)
    assert (framed[:, 2:6] == (200, 100, 50)).all()
    assert (framed[:, :2] == 0).all()
    assert (framed[:, 6:] == 0).all()


def test_a_very_long_photo_keeps_at_least_one_pixel() -> None:
    assert padded_size((1000, 1), (10, 10)) == (10, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_set_upright(orientation: int, tmp_path: Path) -> None:
    upright = noise(4, 6)
    undone = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p, 1),
        7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
        8: lambda p: np.rot90(p, -1),
    }[orientation](upright)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(Image.fromarray(np.ascontiguousarray(undone)), tmp_path / "a.png", exif=exif)
    assert (prepare(path, COLOR) == upright).all()


def test_gray_models_get_the_luma_of_bt601() -> None:
    pixels = noise(4, 6).astype(np.int64)
    expected = (pixels @ [19595, 38470, 7471] + 32768) >> 16
    assert (prepare(Image.fromarray(pixels.astype(np.uint8)), GRAY)[..., 0] == expected).all()


def test_sixteen_bit_gray_keeps_its_upper_byte() -> None:
    levels = np.arange(24, dtype=np.uint16).reshape(4, 6) * 2730
    assert (prepare(Image.fromarray(levels), GRAY)[..., 0] == levels // 256).all()


def test_alpha_is_dropped_as_in_training() -> None:
    pixels = noise(4, 6, 4)
    assert (prepare(Image.fromarray(pixels), COLOR) == pixels[..., :3]).all()


@pytest.mark.parametrize("mode", ["P", "CMYK", "L", "1", "LA", "YCbCr"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    photo = Image.fromarray(noise(4, 6)).convert(mode)
    assert (prepare(photo, COLOR) == np.asarray(photo.convert("RGB"))).all()


def test_an_srgb_profile_changes_nothing(tmp_path: Path) -> None:
    path = saved(Image.fromarray(noise(4, 6)), tmp_path / "a.png", icc_profile=srgb_profile())
    assert np.abs(prepare(path, COLOR).astype(int) - noise(4, 6)).max() <= 1


def test_a_photo_with_other_primaries_is_converted_to_srgb(tmp_path: Path) -> None:
    # An sRGB profile in which red and green have changed places.
    profile = bytearray(srgb_profile())
    at = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * profile[131], 12)}
    red, green = at[b"rXYZ"], at[b"gXYZ"]
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    photo = Image.new("RGB", (6, 4), (255, 0, 0))
    path = saved(photo, tmp_path / "a.png", icc_profile=bytes(profile))
    assert np.abs(prepare(path, COLOR).astype(int) - (0, 255, 0)).max() <= 2


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_an_unreadable_profile_counts_as_srgb(tmp_path: Path) -> None:
    path = saved(Image.fromarray(noise(4, 6)), tmp_path / "a.png", icc_profile=b"nonsense")
    assert (prepare(path, COLOR) == noise(4, 6)).all()


def test_a_missing_photo_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.jpg: no such file"):
        prepare(tmp_path / "gone.jpg", COLOR)


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff\xd8\xff\xe0 not a jpeg"])
def test_a_file_that_is_no_image_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"a\.jpg"):
        prepare(path, COLOR)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "GIF"])
def test_a_truncated_photo_is_refused(kind: str, tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(noise(64, 64)).save(file, kind)
    path = tmp_path / "photo"
    path.write_bytes(file.getvalue()[: len(file.getvalue()) // 2])
    with pytest.raises(ImageError, match="photo"):
        prepare(path, COLOR)
