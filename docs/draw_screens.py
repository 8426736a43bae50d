"""Draws the screens of both apps for docs/apps.md, with the words that stand in their code.

`python docs/draw_screens.py` renders `docs/screens/*.png` with headless Chromium (Debian's package
`chromium`; looks best with `fonts-roboto-unhinted` and `fonts-liberation`). Every text goes through
`App.says`, which refuses what the app's code does not say, so that a drawing cannot grow old
unnoticed. Layout and figures are ours: nothing here comes from a device.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cached_property
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Final

from PIL import Image

DOCS: Final = Path(__file__).parent
SCREENS: Final = DOCS / "screens"
SIZE: Final = (900, 880)
"""Width and height of a drawing, in CSS pixels: two phones beside each other."""
SCALE: Final = 1.5
"""Pixels of the PNG for one of those."""
COLORS: Final = 96
"""In the palette of a PNG, which makes it a third as large."""
_JOINER: Final = "\u2060"
"""Word joiner: no line is to end within `--app` or `1.4e-02`."""


@dataclass(frozen=True)
class App:
    """An app whose screens are drawn."""

    title: str
    sources: Path
    suffix: str
    interpolation: str
    """A regular expression of a value within a string of its language."""

    def says(self, template: str, *values: object) -> str:
        """A text of the app as HTML, with values in place of `{}`.

        Raises:
            SystemExit: If no string in the app's code reads like that.
        """
        if template not in self.strings:
            raise SystemExit(f"{self.sources}: nothing says {template!r}; draw what it says now")
        text = escape(template.format(*values), quote=False)
        return text.replace("-", f"-{_JOINER}")

    @cached_property
    def strings(self) -> frozenset[str]:
        """All string literals, with `{}` for what is put into them."""
        code = "\n".join(path.read_text("utf-8") for path in self.sources.rglob(f"*{self.suffix}"))
        literals = re.findall(r'"((?:[^"\\\n]|\\.)*)"', code)
        return frozenset(re.sub(self.interpolation, "{}", text) for text in literals)


IOS: Final = App("iOS", DOCS.parent / "ios_app/App", ".swift", r"\\\((?:[^()]|\([^()]*\))*\)")
ANDROID: Final = App(
    "Android", DOCS.parent / "android_app/app/src/main/kotlin", ".kt", r"\$\{[^}]*\}|\$\w+"
)

ANSWER: Final = (("seven", 97.8), ("one", 1.4), ("nine", 0.5), ("two", 0.2), ("three", 0.1))
"""Invented labels and percentages."""
GOLDEN: Final = (
    "three", "zero", "six", "one", "nine", "four", "eight", "two",
    "five", "seven", "zero", "two", "six", "nine", "one", "five",
)  # fmt: skip
"""Invented answers of the trained model on 16 golden images."""
SEVEN: Final = ((9.5, 9.0), (22.5, 9.0), (14.0, 25.0))
"""The corners of a written 7 in a picture of 32 by 32."""


def picture(width: int, height: int) -> str:
    """What the camera or the photo shows: a 7 on coloured paper."""
    points = " ".join(f"{x},{y}" for x, y in SEVEN)
    box = f"0 0 {32 * max(1, width / height):.1f} {32 * max(1, height / width):.1f}"
    left, top = (float(edge) / 2 - 16 for edge in box.split()[2:])
    return (
        f'<svg width="{width}" height="{height}" viewBox="{box}" style="background:#2f5d62">'
        f'<polyline transform="translate({left},{top})" points="{points}" fill="none" '
        'stroke="#f4d58d" stroke-width="3.4" stroke-linecap="round" stroke-linejoin="round"/></svg>'
    )


def seen() -> str:
    """The same as 32 by 32 pixels, as the model sees it."""
    dots = "".join(
        f'<rect x="{x}" y="{y}" width="1.2" height="1.2" fill="{_color(x + 0.5, y + 0.5)}"/>'
        for y in range(32)
        for x in range(32)
        if _distance(x + 0.5, y + 0.5) < 2.2
    )
    return (
        f'<svg width="96" height="96" viewBox="0 0 32 32" style="background:#2f5d62">{dots}</svg>'
    )


def _color(x: float, y: float) -> str:
    ink = min(1.0, max(0.0, 2.2 - _distance(x, y)))
    mixed = (a + (b - a) * ink for a, b in zip((47, 93, 98), (244, 213, 141), strict=True))
    return f"rgb({','.join(str(round(level)) for level in mixed)})"


def _distance(x: float, y: float) -> float:
    """To the strokes of the 7."""
    distances = []
    for (ax, ay), (bx, by) in pairwise(SEVEN):
        dx, dy = bx - ax, by - ay
        along = min(1.0, max(0.0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)))
        distances.append(((x - ax - along * dx) ** 2 + (y - ay - along * dy) ** 2) ** 0.5)
    return min(distances)


def div(*content: str, look: str = "") -> str:
    """A box of the style sheet."""
    return f'<div class="{look}">{"".join(content)}</div>'


def phone(app: App, *body: str, below: str = "", look: str = "") -> str:
    """A phone with a screen in it."""
    status = div("9:41<b></b>", look=f"status {look}")
    screen = div(status, div(*body, look=f"body {look}"), below, look=f"phone {app.title.lower()}")
    return f"<figure><p>{app.title}</p>{screen}</figure>"


ICONS: Final = {
    "Photo": '<rect x="2" y="4" width="20" height="16" rx="2"/><path d="M3 18l6-7 5 5 3-3 5 5"/>',
    "Camera": '<path d="M2 7h5l2-3h6l2 3h5v13H2z"/><circle cx="12" cy="13" r="4"/>',
    "Self-check": '<circle cx="12" cy="12" r="9.5"/><path d="M7.5 12.5l3 3 6-7"/>',
    "Settings": '<circle cx="12" cy="12" r="3.5"/><circle cx="12" cy="12" r="8.5" '
    'stroke-width="3" stroke-dasharray="3.9 2.8"/>',
}


def icon(name: str) -> str:
    """One of our own, where Apple's would stand."""
    return (
        '<svg width="25" height="25" viewBox="0 0 24 24" fill="none" stroke="currentColor" '
        f'stroke-width="1.7">{ICONS[name]}</svg>'
    )


def ios_tabs(chosen: str) -> str:
    """The tabs at the bottom."""
    drawn = (div(icon(name), IOS.says(name), look="on" if name == chosen else "") for name in ICONS)
    return div(*drawn, look="tabs")


def android_chips(titles: list[str], chosen: str) -> str:
    """A row of which one is chosen."""
    return div(*(div(t, look="chip on" if t == chosen else "chip") for t in titles), look="chips")


def android_top(chosen: str) -> str:
    """The model's name, and the tabs."""
    tabs = [ANDROID.says(name) for name in ("Camera", "Photo", "Self-check", "Settings")]
    return div("digits", look="title") + android_chips(tabs, ANDROID.says(chosen))


def bars(percents: list[str], look: str) -> str:
    """Labels with percentages and bars."""
    return "".join(
        div(
            div(div(label, look=look), percent, look="row"),
            div(f'<i style="width:{value}%"></i>', look="bar"),
        )
        for (label, value), percent in zip(ANSWER, percents, strict=True)
    )


def ios_answer() -> str:
    """Labels and times, as under photo and camera."""
    times = IOS.says("Core ML {} ms, crop and resize {} ms", 1.2, 8.4)
    percents = [IOS.says("{} %", value) for _, value in ANSWER]
    return bars(percents, "") + div(times, look="small center")


def android_answer() -> str:
    """Labels, what the model saw, and times."""
    lines = (
        ANDROID.says("What the model saw: {} x {}", 32, 32),
        ANDROID.says("Preprocessing {}", ANDROID.says("%.1f ms") % 9.6),
        ANDROID.says("Inference {}", ANDROID.says("%.1f ms") % 0.4),
    )
    percents = [android_percent(value) for _, value in ANSWER]
    words = div(*map(div, lines), look="line")
    return bars(percents, "strong") + div(seen(), words, look="beside")


def android_percent(value: float) -> str:
    """As the Android app writes it."""
    return ANDROID.says("%.1f %%") % value


def photo() -> list[str]:
    """A photo, answered."""
    shown = div(picture(350, 262), look="center")
    choose = div(icon("Photo"), IOS.says("Choose a photo"), look="button")
    pick = div(ANDROID.says("Pick a photo"), look="button")
    return [
        phone(IOS, shown, choose, ios_answer(), below=ios_tabs("Photo")),
        phone(ANDROID, android_top("Photo"), pick, android_answer()),
    ]


def camera() -> list[str]:
    """The live camera."""
    whole, upper = (div(picture(*size), look="center") for size in ((232, 412), (358, 320)))
    return [
        phone(IOS, whole, ios_answer(), below=ios_tabs("Camera")),
        phone(ANDROID, android_top("Camera"), upper, android_answer()),
    ]


def self_check() -> list[str]:
    """Golden images: all right on iOS, two wrong ones on Android."""
    return [
        phone(IOS, _ios_check(), below=ios_tabs("Self-check"), look="form long"),
        phone(ANDROID, android_top("Self-check"), _android_check(), look="long"),
    ]


def _ios_check() -> str:
    does = IOS.says("Runs the bundle's golden images and compares with the recorded scores.")
    run = div(IOS.says("Run the self-check"), look="link")
    agree = IOS.says("Right: {} of {} golden images agree", len(GOLDEN), len(GOLDEN))
    largest = IOS.says("Largest difference of probability: {}", "0.0011749")
    rows = (
        div(div("✔"), div(f"{number:03}.png"), div(label), look="golden")
        for number, label in enumerate(GOLDEN)
    )
    results = div(div(f"<b>{agree}</b>"), div(largest), *rows, look="group")
    return div(div(does), run, look="group") + div() + results


def _android_check() -> str:
    does = ANDROID.says(
        "Runs the images that came with the model and compares with what the trained model "
        "answered."
    )
    name = ANDROID.says("{} on the {}", "tflite-int8", "CPU")
    wrong = ANDROID.says("Wrong: {} of {} images differ", 2, len(GOLDEN))
    distrust = ANDROID.says("{} is not to be trusted here.", name)
    return (
        div(does, look="line")
        + div(ANDROID.says("Check {}", name), look="button")
        + div(div(wrong, look="wrong"), div(distrust, look="line"))
        + "".join(div(line, look="line") for line in _android_lines())
    )


def _android_lines() -> list[str]:
    """Of an int8 file that went wrong in two places."""
    said = [ANDROID.says("agrees: {}", label) for label in GOLDEN]
    said[2] = ANDROID.says("DIFFERS: {} for {}", "eight", GOLDEN[2])
    said[5] = ANDROID.says("near-tie: {} for {}", "nine", GOLDEN[5])
    said[7] = ANDROID.says("DIFFERS: {} for {}", "three", GOLDEN[7])
    largest = {2: 0.61, 5: 0.087, 7: 0.34}
    lines = []
    for number, verdict in enumerate(said):
        off = ANDROID.says("%.1e") % largest.get(number, 0.004 + 0.0031 * (number * 7 % 5))
        image = f"golden/{number:03}.png"
        lines.append(ANDROID.says("{}: {} (largest difference {})", image, verdict, off))
    return lines


def settings() -> list[str]:
    """What can be chosen."""
    return [
        phone(IOS, *_ios_settings(), below=ios_tabs("Settings"), look="form"),
        phone(ANDROID, android_top("Settings"), *_android_settings()),
    ]


def _ios_settings() -> list[str]:
    pixels = IOS.says("Exact: the same pixels as Python. System: Vision's crop and scale.")
    count = div(IOS.says("Labels: {}", 5), div("&minus;  |  +", look="stepper"), look="row")
    hidden = div(IOS.says("Hide labels below {} %", 0), look="small")
    model = (
        IOS.says("{}: {}, ", "digits", "digits.mlpackage")
        + IOS.says("{}x{} {}, {}, ", 32, 32, "RGB", "crop")
        + IOS.says("{}, {} labels", "bilinear", 10)
    )
    buttons = (IOS.says("Import a bundle"), IOS.says("Use the app's own model"))
    return [
        _group("Pixels", _choice("Crop and resize", "Exact"), div(pixels, look="small")),
        _group("Core ML", _choice("Compute on", "All")),
        _group("Answer", count, div(slider(0)), hidden),
        _group("Model", div(model), *(div(text, look="link") for text in buttons)),
    ]


def _group(title: str, *rows: str) -> str:
    return f"<h4>{IOS.says(title).upper()}</h4>" + div(*rows, look="group")


def _choice(title: str, value: str) -> str:
    return div(IOS.says(title), div(f"{IOS.says(value)} ⌃⌄", look="small"), look="row")


def slider(percent: int) -> str:
    """A slider of either app."""
    knob = f'<i style="width:{percent}%"></i><b style="margin-left:{percent}%"></b>'
    return div(knob, look="slider")


def _android_settings() -> list[str]:
    return [
        div(ANDROID.says("File: {}, {}, takes {}", "digits.tflite", "float32", "float32")),
        android_chips(["tflite", "tflite-int8"], "tflite"),
        div(ANDROID.says("Processor")),
        android_chips([ANDROID.says("CPU"), ANDROID.says("GPU")], "CPU"),
        div(ANDROID.says("Threads")),
        android_chips(["1", "2", "4", "8"], "1"),
        div(ANDROID.says("Hide labels below {}", android_percent(10))),
        slider(10),
    ]


def no_model() -> list[str]:
    """An app into which no bundle was put."""
    ios = (
        div(IOS.says("No model yet"), look="big"),
        div(IOS.says("Put one into this app on your computer, and build it again:")),
        div(IOS.says("mobilecv export model.h5 --to mlpackage --app ios_app"), look="mono"),
        div(IOS.says("Or import a bundle, the folder that ends in -mobilecv, from Files.")),
        div(IOS.says("Import a bundle"), look="link"),
    )
    android = (
        div(ANDROID.says("There is no model in this app yet"), look="title"),
        div(ANDROID.says("On your computer, put one there and install the app again:")),
        div(ANDROID.says("mobilecv export model.h5 --to tflite --app android_app")),
    )
    return [phone(IOS, div(*ios, look="centred")), phone(ANDROID, *android)]


DRAWINGS: Final = {
    "photo": photo,
    "camera": camera,
    "self-check": self_check,
    "settings": settings,
    "no-model": no_model,
}


def browser() -> str | None:
    """Where Chromium is, if it is installed."""
    return shutil.which("chromium") or shutil.which("google-chrome")


def render(name: str, phones: list[str], chromium: str, folder: Path) -> Path:
    """Write a drawing as `<name>.png` into a folder."""
    style = (SCREENS / "phones.css").read_text("utf-8")
    page = f'<!doctype html><meta charset="utf-8"><style>{style}</style>{"".join(phones)}'
    target = folder / f"{name}.png"
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / f"{name}.html"
        source.write_text(page, encoding="utf-8")
        command = [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            f"--user-data-dir={scratch}/profile", f"--window-size={SIZE[0]},{SIZE[1]}",
            f"--force-device-scale-factor={SCALE}", f"--screenshot={target}", source.as_uri(),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=120)  # noqa: S603
    with Image.open(target) as image:
        image.convert("RGB").quantize(COLORS).save(target, optimize=True)
    return target


def main() -> None:
    """Render all drawings."""
    chromium = browser()
    if chromium is None:
        raise SystemExit("chromium: not found; install it (Debian: apt-get install chromium)")
    for name, draw in DRAWINGS.items():
        render(name, draw(), chromium, SCREENS)


if __name__ == "__main__":
    main()
