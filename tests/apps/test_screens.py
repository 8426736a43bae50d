"""The drawings of docs/apps.md say what the apps say, and can be drawn anew."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests_shared import ROOT

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def drawing() -> Any:
    """The module docs/draw_screens.py."""
    spec = importlib.util.spec_from_file_location("draw_screens", DOCS / "draw_screens.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_every_text_that_is_drawn_stands_in_the_apps_code(drawing: Any) -> None:
    for draw in drawing.DRAWINGS.values():
        ios, android = draw()
        assert "<p>iOS</p>" in ios
        assert "<p>Android</p>" in android


def test_a_text_that_no_app_says_is_refused(drawing: Any) -> None:
    with pytest.raises(SystemExit, match=r"nothing says 'Right: \{\} images are fine'"):
        drawing.ANDROID.says("Right: {} images are fine", 16)


def test_every_drawing_is_committed_and_shown(drawing: Any) -> None:
    drawn = {f"{name}.png" for name in drawing.DRAWINGS}
    assert {path.name for path in (DOCS / "screens").glob("*.png")} == drawn
    shown = re.findall(r"\(screens/([\w-]+\.png)\)", (DOCS / "apps.md").read_text("utf-8"))
    assert set(shown) == drawn


def test_a_screen_is_drawn(drawing: Any, tmp_path: Path) -> None:
    chromium = drawing.browser()
    if chromium is None:
        pytest.skip("no Chromium; get it by apt-get install chromium")
    path = drawing.render("no-model", drawing.no_model(), chromium, tmp_path)
    with Image.open(path) as image:
        assert image.size == tuple(round(side * drawing.SCALE) for side in drawing.SIZE)
        colors = image.convert("RGB").getcolors(image.width * image.height)
    assert colors is not None
    assert len(colors) > 10, "the page is blank"
