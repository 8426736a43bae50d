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

WRAPPER_SHA256 = "55243ef57851f12b070ad14f7f5bb8302daceeebc5bce5ece5fa6edb23e1145c"
"""Of Gradle 9.4.1's wrapper, which starts any Gradle; from npm @react-native-community/template
0.87.2 (gradle-wrapper.jar itself is Apache-2.0)."""


@pytest.fixture(scope="session")
def catalog(android_project: Path) -> dict[str, Any]:
    return tomllib.loads((android_project / "gradle" / "libs.versions.toml").read_text())


def build_files(project: Path) -> list[Path]:
    found = [*sorted(project.glob("*.gradle.kts")), *sorted(project.glob("*/build.gradle.kts"))]
    assert len(found) == 4
    return found


def sources(project: Path) -> list[Path]:
    found = sorted(project.glob("*/src/**/*.kt"))
    assert len(found) > 40
    return found


def used(kind: str, project: Path) -> set[str]:
    """What the build files name of the catalog, with dashes as the catalog writes them."""
    text = "".join(path.read_text() for path in build_files(project))
    prefix = r"libs\.plugins\." if kind == "plugins" else r"libs\.(?!plugins\.)"
    return {name.replace(".", "-") for name in re.findall(prefix + r"([\w.]+)\)", text)}


@pytest.mark.parametrize("kind", ["libraries", "plugins"])
def test_the_build_files_and_the_version_catalog_name_the_same(
    kind: str, catalog: dict[str, Any], android_project: Path
) -> None:
    assert used(kind, android_project) == set(catalog[kind])


def test_every_version_is_there_and_used(catalog: dict[str, Any]) -> None:
    entries = [*catalog["libraries"].values(), *catalog["plugins"].values()]
    named = {entry["version"]["ref"] for entry in entries if "version" in entry}
    assert named == set(catalog["versions"])


def test_the_versions_are_those_that_were_seen_together(
    catalog: dict[str, Any], android_project: Path
) -> None:
    expected = {"agp": "8.13.1", "kotlin": "2.3.0", "composeBom": "2025.12.00",
                "camerax": "1.5.2", "litert": "2.1.6", "activity": "1.12.1",
                "lifecycle": "2.10.0", "testExt": "1.3.0", "testRunner": "1.7.0"}  # fmt: skip
    assert {name: catalog["versions"][name] for name in expected} == expected
    assert "gradle-8.13-bin.zip" in wrapper_properties(android_project)["distributionUrl"]


def test_every_module_is_there(android_project: Path) -> None:
    included = re.findall(r'":(\w+)"', (android_project / "settings.gradle.kts").read_text())
    modules = [path.parent.name for path in android_project.glob("*/build.gradle.kts")]
    assert sorted(included) == sorted(modules)


def test_the_wrapper_is_the_known_one_and_checks_what_it_downloads(android_project: Path) -> None:
    jar = (android_project / "gradle" / "wrapper" / "gradle-wrapper.jar").read_bytes()
    assert hashlib.sha256(jar).hexdigest() == WRAPPER_SHA256
    checksum = wrapper_properties(android_project)["distributionSha256Sum"]
    assert re.fullmatch("[0-9a-f]{64}", checksum)
    assert os.access(android_project / "gradlew", os.X_OK)


def wrapper_properties(project: Path) -> dict[str, str]:
    text = (project / "gradle" / "wrapper" / "gradle-wrapper.properties").read_text()
    return dict(line.split("=", 1) for line in text.split())


def test_brackets_are_balanced(android_project: Path) -> None:
    for path in build_files(android_project):
        text = re.sub(r'"[^"\n]*"|//[^\n]*', "", path.read_text())
        open_ones: list[str] = []
        for char in re.findall(r"[(){}\[\]]", text):
            if char in "({[":
                open_ones.append(char)
            else:
                assert open_ones.pop() + char in ("()", "{}", "[]"), path.name
        assert not open_ones, path.name


def test_the_app_holds_no_number_and_no_file_of_a_model(android_project: Path) -> None:
    told = re.compile(
        r"\b(224|299|127\.5|0\.485|103\.9\d*)f?\b|labels\.txt|golden\.json|\w\.tflite"
    )
    assert told.search("size = 224")
    for source in sources(android_project):
        if "main" not in source.relative_to(android_project).parts:
            continue
        found = told.search(source.read_text())
        assert not found, f"{source.name}: {found}"


def test_a_package_is_where_its_name_says(android_project: Path) -> None:
    for source in sources(android_project):
        (package,) = re.findall(r"^package ([\w.]+)$", source.read_text(), re.MULTILINE)
        assert source.parent.as_posix().endswith("/kotlin/" + package.replace(".", "/"))


def test_sources_keep_to_the_line_length(android_project: Path) -> None:
    files = sources(android_project) + build_files(android_project)
    longest = {path: max(path.read_text().splitlines(), key=len) for path in files}
    assert not [f"{path.name}: {line}" for path, line in longest.items() if len(line) > 110]


def test_no_bundle_is_committed() -> None:
    assets = APP / "app" / "src" / "main" / "assets"
    done = subprocess.run(
        ["git", "ls-files", assets], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("not a git clone")
    assert [Path(line).name for line in done.stdout.split()] == ["README.md"]


def test_a_written_project_is_named_like_its_model_and_keeps_it_in_git(
    written: dict[str, Path],
) -> None:
    strings = written["android"] / "app" / "src" / "main" / "res" / "values" / "strings.xml"
    assert '<string name="app_name">digits</string>' in strings.read_text()
    assert "assets" not in (written["android"] / ".gitignore").read_text()
    assert "Model" not in (written["ios"] / ".gitignore").read_text()
