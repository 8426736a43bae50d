"""From a photo file to the exact pixels that every artifact takes: the reference of the geometry.

The rules, in order. Ports in other languages follow them by number.

1. *Decode* with Pillow; the first frame of an animation.
2. *Orient* by the EXIF orientation tag.
3. *Convert* to 8-bit sRGB: 16-bit gray keeps its upper byte; an embedded colour profile that
   Little CMS can read is converted to sRGB (perceptual intent), an unreadable one counts as sRGB;
   palette and CMYK go through Pillow's `convert("RGB")`; alpha is dropped, as training pipelines
   do (`keras.utils.load_img`, torchvision's `ImageFolder`).
4. For gray models: luma `(19595 R + 38470 G + 7471 B + 32768) >> 16` (ITU-R BT.601-2, Pillow's
   `convert("L")`).
5. *Fit*. `crop`: the largest centred box of the wanted shape, shrunk by `crop_fraction`, in whole
   pixels. `stretch`: the whole photo. `pad`: the whole photo inside a black frame.
6. *Resample* that box to the wanted size with Pillow's 8-bit fixed-point arithmetic: horizontal
   pass first, coefficients of 22 bits, antialiased when it shrinks. Pixels outside of the box play
   no part. A box that has the wanted size already is copied.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Final

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from mobilecv_runtime.errors import ImageError
from mobilecv_runtime.spec import ImageInput, Resample, UInt8Array

_FILTERS: Final[dict[Resample, Image.Resampling]] = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
}

_TURNED: Final = (5, 6, 7, 8)
"""The EXIF orientations that lay a photo on its side."""


def prepare(photo: str | Path | Image.Image, image: ImageInput) -> UInt8Array:
    """Turn one photo into the pixels that every artifact takes.

    Args:
        photo: A file that Pillow can read, or an image that it has read.
        image: The wanted geometry.

    Returns:
        (height, width, channels), uint8, RGB or gray, 0..255.

    Raises:
        ImageError: If the file is missing, truncated, or no image.
    """
    pixels = _fit(decode(photo, gray=image.channels == 1), image)
    array = np.asarray(pixels, np.uint8)
    return np.ascontiguousarray(array.reshape(image.shape))


def decode(photo: str | Path | Image.Image, *, gray: bool) -> Image.Image:
    """Rules 1 to 4: an upright 8-bit sRGB or gray image.

    Raises:
        ImageError: If the file is missing, truncated, or no image.
    """
    name = str(photo) if isinstance(photo, str | Path) else "the image"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if isinstance(photo, Image.Image):
                return _to_srgb(ImageOps.exif_transpose(photo), gray=gray)
            with Image.open(photo) as opened:
                return _to_srgb(ImageOps.exif_transpose(opened), gray=gray)
    except FileNotFoundError as error:
        raise ImageError(f"{name}: no such file") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name}: not an image that Pillow can read") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{name}: too large to decode safely ({error})") from error
    # Pillow's decoders raise any of these on truncated or corrupt data.
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError) as error:
        raise ImageError(f"{name}: cannot be decoded ({error})") from error


def upright_size(photo: Path) -> tuple[int, int]:
    """The (width, height) of a photo file after rule 2, without decoding it.

    Raises:
        ImageError: If the file is missing, or no image.
    """
    try:
        with Image.open(photo) as opened:
            width, height = opened.size
            turned = opened.getexif().get(ExifTags.Base.Orientation, 1) in _TURNED
    except OSError as error:
        raise ImageError(f"{photo}: not an image that Pillow can read") from error
    return (height, width) if turned else (width, height)


def _to_srgb(photo: Image.Image, *, gray: bool) -> Image.Image:
    if photo.mode.startswith("I;16") or photo.mode in ("I", "F"):
        levels = np.asarray(photo).astype(np.float64)
        photo = Image.fromarray(np.clip(levels // 256, 0, 255).astype(np.uint8))
    profile = photo.info.get("icc_profile")
    if profile and photo.mode in ("RGB", "RGBA", "CMYK", "L"):
        photo = _through_profile(photo, profile)
    return photo.convert("RGB").convert("L") if gray else photo.convert("RGB")


def _through_profile(photo: Image.Image, profile: bytes) -> Image.Image:
    opaque = photo.convert("RGB") if photo.mode == "RGBA" else photo
    try:
        converted = ImageCms.profileToProfile(
            opaque,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.PERCEPTUAL,
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError):
        return opaque
    return converted if converted is not None else opaque


def _fit(photo: Image.Image, image: ImageInput) -> Image.Image:
    size = (image.width, image.height)
    if image.fit == "pad":
        inner = padded_size(photo.size, size)
        framed = Image.new(photo.mode, size)
        corner = ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2)
        framed.paste(photo.resize(inner, _FILTERS[image.resample]), corner)
        return framed
    return boxed(photo, image).resize(size, _FILTERS[image.resample])


def boxed(photo: Image.Image, image: ImageInput) -> Image.Image:
    """Rule 5 without the frame: the part of a photo that is resampled."""
    if image.fit != "crop":
        return photo
    return photo.crop(crop_box(photo.size, (image.width, image.height), image.crop_fraction))


def crop_box(
    photo: tuple[int, int], size: tuple[int, int], fraction: float
) -> tuple[int, int, int, int]:
    """The central box of rule 5 in whole pixels.

    Args:
        photo: (width, height) of the photo.
        size: (width, height) that is wanted; only its shape counts.
        fraction: Which share of the largest such box to keep, in (0, 1].

    Returns:
        (left, top, right, bottom), right and bottom exclusive.
    """
    ratio = min(photo[0] / size[0], photo[1] / size[1]) * fraction
    width = min(photo[0], max(1, int(size[0] * ratio + 0.5)))
    height = min(photo[1], max(1, int(size[1] * ratio + 0.5)))
    left, top = (photo[0] - width) // 2, (photo[1] - height) // 2
    return (left, top, left + width, top + height)


def padded_size(photo: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """How large the photo stands inside its black frame.

    Args:
        photo: (width, height) of the photo.
        size: (width, height) of the frame.

    Returns:
        (width, height), at least one pixel each, in the shape of the photo.
    """
    ratio = min(size[0] / photo[0], size[1] / photo[1])
    return (max(1, int(photo[0] * ratio + 0.5)), max(1, int(photo[1] * ratio + 0.5)))
