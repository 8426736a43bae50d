"""The Gradle project of `android_app`: what can be held without Gradle and without an SDK."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from apps.android_tools import APP
from tests_shared import ROOT

CATALOG: dict[str, Any] = tomllib.loads((APP / "gradle" / "libs.versions.toml").read_text())
BUILD_FILES = sorted(APP.glob("*.gradle.kts")) + sorted(APP.glob("*/build.gradle.kts"))
SOURCES = sorted(APP.glob("*/src/**/*.kt"))
MAIN_SOURCES = [path for path in SOURCES if "main" in path.relative_to(APP).parts]
WRAPPER_SHA256 = "55243ef57851f12b070ad14f7f5bb8302daceeebc5bce5ece5fa6edb23e1145c"
"""Of Gradle 9.4.1's wrapper, which starts any Gradle; from npm @react-native-community/template
0.87.2 (gradle-wrapper.jar itself is Apache-2.0)."""


def used(kind: str) -> set[str]:
    """What the build files name of the catalog, with dashes as the catalog writes them."""
    text = "".join(path.read_text() for path in BUILD_FILES)
    prefix = r"libs\.plugins\." if kind == "plugins" else r"libs\.(?!plugins\.)"
    return {name.replace(".", "-") for name in re.findall(prefix + r"([\w.]+)\)", text)}


@pytest.mark.parametrize("kind", ["libraries", "plugins"])
def test_the_build_files_and_the_version_catalog_name_the_same(kind: str) -> None:
    assert used(kind) == set(CATALOG[kind])


def test_every_version_is_there_and_used() -> None:
    entries = [*CATALOG["libraries"].values(), *CATALOG["plugins"].values()]
    named = {entry["version"]["ref"] for entry in entries if "version" in entry}
    assert named == set(CATALOG["versions"])


def test_the_versions_are_those_that_were_seen_together() -> None:
    expected = {"agp": "8.13.1", "kotlin": "2.3.0", "composeBom": "2025.12.00",
                "camerax": "1.5.2", "litert": "2.1.6"}  # fmt: skip
    assert {name: CATALOG["versions"][name] for name in expected} == expected
    assert "gradle-8.13-bin.zip" in wrapper_properties()["distributionUrl"]


def test_every_module_is_there() -> None:
    included = re.findall(r'":(\w+)"', (APP / "settings.gradle.kts").read_text())
    assert sorted(included) == sorted(path.parent.name for path in APP.glob("*/build.gradle.kts"))


def test_the_wrapper_is_the_known_one_and_checks_what_it_downloads() -> None:
    jar = (APP / "gradle" / "wrapper" / "gradle-wrapper.jar").read_bytes()
    assert hashlib.sha256(jar).hexdigest() == WRAPPER_SHA256
    assert re.fullmatch("[0-9a-f]{64}", wrapper_properties()["distributionSha256Sum"])
    assert os.access(APP / "gradlew", os.X_OK)


def wrapper_properties() -> dict[str, str]:
    text = (APP / "gradle" / "wrapper" / "gradle-wrapper.properties").read_text()
    return dict(line.split("=", 1) for line in text.split())


@pytest.mark.parametrize("path", BUILD_FILES, ids=lambda path: str(path.relative_to(APP)))
def test_brackets_are_balanced(path: Path) -> None:
    text = re.sub(r'"[^"\n]*"|//[^\n]*', "", path.read_text())
    open_ones: list[str] = []
    for char in re.findall(r"[(){}\[\]]", text):
        if char in "({[":
            open_ones.append(char)
        else:
            assert open_ones.pop() + char in ("()", "{}", "[]")
    assert not open_ones


def test_the_app_holds_no_number_and_no_file_of_a_model() -> None:
    told = re.compile(
        r"\b(224|299|127\.5|0\.485|103\.9\d*)f?\b|labels\.txt|golden\.json|\w\.tflite"
    )
    assert told.search("size = 224")
    for source in MAIN_SOURCES:
        found = told.search(source.read_text())
        assert not found, f"{source.name}: {found}"


def test_a_package_is_where_its_name_says() -> None:
    for source in SOURCES:
        (package,) = re.findall(r"^package ([\w.]+)$", source.read_text(), re.MULTILINE)
        assert source.parent.as_posix().endswith("/kotlin/" + package.replace(".", "/"))


def test_sources_keep_to_the_line_length() -> None:
    longest = {path: max(path.read_text().splitlines(), key=len) for path in SOURCES + BUILD_FILES}
    assert not [f"{path.name}: {line}" for path, line in longest.items() if len(line) > 110]


def test_no_bundle_is_committed() -> None:
    assets = APP / "app" / "src" / "main" / "assets"
    done = subprocess.run(
        ["git", "ls-files", assets], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("not a git clone")
    assert [Path(line).name for line in done.stdout.split()] == ["README.md"]
