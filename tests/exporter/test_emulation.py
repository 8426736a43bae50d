"""`verify --emulate`: what another library's resizing would cost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests_shared import Cli


@pytest.fixture
def large_photos(digits_photos: Path, tmp_path: Path) -> Path:
    """The digits at many times their size, so that resizers have something to do."""
    folder = tmp_path / "large"
    for path in sorted((digits_photos / "test").rglob("*.png"))[::12]:
        target = folder / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            noise = np.random.default_rng(0).integers(0, 90, (360, 300), dtype=np.uint8)
            big = np.asarray(image.convert("L").resize((300, 360), Image.Resampling.NEAREST))
            Image.fromarray(np.maximum(big, noise)).save(target)
    return folder


def test_the_cost_of_another_resizer_is_told_and_is_no_verdict(
    exported: Path, large_photos: Path, cli: Cli
) -> None:
    done = cli(
        "verify", exported, "--images", large_photos, "--emulate", "android,vision", "--json"
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    found = {each["resizer"]: each for each in report["emulations"]}
    assert found.keys() == {"android", "vision"}
    # Two taps see single noisy pixels, where the exact path and Lanczos take averages.
    assert found["android"]["mean_difference"] > 3 * found["vision"]["mean_difference"] > 0
    assert found["android"]["images"] == report["images"] - 16
    shown = cli("verify", exported, "--images", large_photos, "--emulate", "tf")
    assert "| tf " in shown.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--emulate", "android"], "name a folder of them with --images"),
        (["--images", ".", "--emulate", "gimp"], "choose from: android, vision, opencv, tf"),
    ],
)
def test_what_cannot_be_emulated_is_refused(
    words: list[str], message: str, exported: Path, cli: Cli
) -> None:
    done = cli("verify", exported, *words)
    assert done.returncode == 2
    assert message in done.stderr
