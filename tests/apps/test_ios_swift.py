"""The iOS app through a real Swift compiler, where there is one.

Swift on Linux has Foundation and XCTest, but none of Apple's frameworks: the core is compiled and
its tests run; the app is type-checked against hand-written signatures (`ios_stubs/README.md`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests_shared import ROOT

APPS = ROOT / "tests" / "apps"
CORE = ROOT / "ios_app" / "ClassifierCore"
TOOLS = ROOT / "build" / "apps-tools"
SECONDS = 600
REAL_BUNDLE = "RealBundleTests.testABundleOfMobilecvIsReadWithItsGoldenImages"


@pytest.fixture(scope="session")
def swift() -> list[str]:
    """What to write before a command, so that it finds Swift."""
    if compiler := shutil.which("swiftc"):
        # Debian keeps `swift` itself off the path, since OpenStack's client has that name.
        return ["env", f"PATH={Path(compiler).resolve().parent}:{os.environ['PATH']}"]
    if (TOOLS / "swift-root" / ".complete").exists() and os.geteuid() == 0:
        return [str(APPS / "swift_root.sh")]
    pytest.skip("no swiftc; get one by tests/apps/install_swift.sh (as root, on Debian)")


@pytest.fixture(scope="session")
def core_tests(swift: list[str]) -> list[str]:
    return command_of_tests(swift, CORE, TOOLS / "core-build")


def command_of_tests(swift: list[str], package: Path, build: Path) -> list[str]:
    """The command that builds and runs the tests of a core, with optimisation as on a phone."""
    return [*swift, "swift", "test", "-c", "release", "-Xswiftc", "-warnings-as-errors",
            "--package-path", str(package), "--scratch-path", str(build)]  # fmt: skip


def run(words: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def executed(output: str) -> int:
    """How many XCTests ran, all in all, none of which failed."""
    counts = re.findall(r"Executed (\d+) tests?, with .*?\b0 failures", output)
    return max(map(int, counts), default=0)


def test_swift_makes_every_golden_vector_to_the_byte(core_tests: list[str]) -> None:
    done = run(core_tests, MOBILECV_BUNDLE="")

    assert done.returncode == 0, done.stdout
    assert executed(done.stdout) >= 39, done.stdout
    assert set(re.findall(r"'(\S+)' skipped", done.stdout)) == {REAL_BUNDLE}, done.stdout


def test_swift_reads_a_bundle_that_was_exported(core_tests: list[str], bundle: Path) -> None:
    done = run([*core_tests, "--filter", "RealBundleTests"], MOBILECV_BUNDLE=str(bundle))

    assert done.returncode == 0, done.stdout
    assert executed(done.stdout) == 1, done.stdout
    assert "skipped" not in done.stdout


def test_swift_refuses_a_bundle_with_shuffled_labels(core_tests: list[str], bundle: Path) -> None:
    labels = bundle / "labels.txt"
    labels.write_text("".join(sorted(labels.read_text().splitlines(keepends=True))))

    done = run([*core_tests, "--filter", "RealBundleTests"], MOBILECV_BUNDLE=str(bundle))

    assert done.returncode != 0
    assert "labels.txt has changed" in done.stdout


def test_the_core_of_a_written_project_passes_its_tests_on_what_lies_in_it(
    swift: list[str], written: dict[str, Path], tmp_path: Path
) -> None:
    project = written["ios"]
    tests = command_of_tests(swift, project / "ClassifierCore", tmp_path / "build")

    done = run(tests, MOBILECV_BUNDLE=str(project / "Model"))

    assert done.returncode == 0, done.stdout
    assert executed(done.stdout) >= 46, done.stdout
    assert "skipped" not in done.stdout, done.stdout


def test_the_app_type_checks(swift: list[str], ios_project: Path, tmp_path: Path) -> None:
    script = str(APPS / "check_ios_types.sh")
    done = run([*swift, "bash", script, str(tmp_path / "types"), str(ios_project)])

    assert done.returncode == 0, done.stdout


def test_an_argument_of_the_wrong_type_does_not_type_check(
    swift: list[str], tmp_path: Path
) -> None:
    app = tmp_path / "ios_app"
    shutil.copytree(ROOT / "ios_app", app, ignore=shutil.ignore_patterns(".build"))
    spoiled = app / "App" / "Inference" / "PixelBuffers.swift"
    text = spoiled.read_text(encoding="utf-8")
    assert "pixels.width, pixels.height, format" in text
    spoiled.write_text(text.replace("pixels.width, pixels.height, format", "1.5, 2, format"))

    script = [str(APPS / "check_ios_types.sh"), str(TOOLS / "types-spoiled"), str(app)]
    done = run([*swift, "bash", *script])

    assert done.returncode != 0
    assert re.search(r"PixelBuffers\.swift:\d+:\d+: error", done.stdout), done.stdout
