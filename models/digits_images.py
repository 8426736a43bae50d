"""Draws scikit-learn's handwritten digits as 32x32 RGB images, and writes them as photo folders.

`python models/digits_images.py FOLDER` writes `FOLDER/test/<label>/*.png` (360 held-out images) and
`FOLDER/calibration/<label>/*.png` (200 of the training images). Every run gives the same files.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

LABELS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_SPLIT_SEED = 0


def draw_digits(part: str, *, seed: int, repeats: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Draw one part of the data.

    Args:
        part: `train` (1437 digits) or `test` (360 digits).
        seed: Of the colours and positions.
        repeats: How often each digit is drawn, differently each time.

    Returns:
        Images, (count, 32, 32, 3), uint8, RGB; classes, (count,), 0..9.
    """
    data = load_digits()
    parts = train_test_split(
        data.images, data.target, test_size=360, random_state=_SPLIT_SEED, stratify=data.target
    )
    digits, classes = (parts[0], parts[2]) if part == "train" else (parts[1], parts[3])
    random = np.random.default_rng(seed)
    images = [_draw(digit, random) for _ in range(repeats) for digit in digits]
    return np.stack(images), np.tile(classes, repeats)


def _draw(digit: np.ndarray, random: np.random.Generator) -> np.ndarray:
    size = int(random.integers(22, 31))
    small = Image.fromarray((digit / 16 * 255).astype(np.uint8))
    mask = Image.new("L", (32, 32))
    corner = tuple(int(random.integers(0, 32 - size + 1)) for _ in range(2))
    mask.paste(small.resize((size, size), Image.Resampling.BICUBIC), corner)
    share = np.asarray(mask, np.float64)[..., None] / 255
    ground, ink = random.uniform(0, 90, 3), random.uniform(150, 255, 3)
    noise = random.normal(0, 6, (32, 32, 3))
    return np.clip(ground * (1 - share) + ink * share + noise, 0, 255).astype(np.uint8)


def main(folder: Path) -> None:
    """Write both photo folders."""
    test, test_classes = draw_digits("test", seed=8)
    train, train_classes = draw_digits("train", seed=7)
    _write(folder / "test", test, test_classes)
    _write(folder / "calibration", train[:200], train_classes[:200])
    print(f"wrote {len(test)} test and 200 calibration images below {folder}")


def _write(folder: Path, images: np.ndarray, classes: np.ndarray) -> None:
    for number, (image, kind) in enumerate(zip(images, classes, strict=True)):
        path = folder / LABELS[kind] / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
