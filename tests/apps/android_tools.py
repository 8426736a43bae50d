"""The tools that check `android_app` where there is no Android SDK: Kotlin, JUnit and aapt2."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests_shared import ROOT

APP: Final = ROOT / "android_app"
STUBS: Final = ROOT / "tests" / "apps" / "android_stubs"
GOLDEN_PIXELS: Final = ROOT / "tests" / "golden" / "pixels"
FRAMEWORK: Final = Path("/usr/share/android-framework-res/framework-res.apk")
_KOTLIN: Final = ROOT / "build" / "apps-tools" / "node_modules" / "kotlin-compiler"
_JUNIT: Final = (Path("/usr/share/java/junit4.jar"), Path("/usr/share/java/hamcrest-core.jar"))
_BUILT: Final = ROOT / "build" / "android"
_LANGUAGE: Final = ("-language-version", "2.3", "-api-version", "2.3", "-jvm-target", "17")
"""The app is built with the Kotlin of its version catalog, though a later compiler checks it."""


def need(*tools: str | Path) -> None:
    """Go on only with these tools; a missing one fails in CI and skips elsewhere."""
    for tool in tools:
        if not (shutil.which(tool) if isinstance(tool, str) else tool.exists()):
            reason = f"{tool} is missing: run tests/apps/install_android_tools.sh"
            pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


def kotlinc(
    sources: Sequence[Path], output: Path, *options: str, classpath: Sequence[Path] = ()
) -> subprocess.CompletedProcess[str]:
    """Compile folders of Kotlin into a jar; the caller looks at code and stderr."""
    need("java", _KOTLIN, *_JUNIT)
    path = [*classpath, _KOTLIN / "lib" / "kotlinx-coroutines-core-jvm.jar", *_JUNIT]
    command = ["bash", _KOTLIN / "bin" / "kotlinc", *sources, *_LANGUAGE, *options]
    return _run([*command, "-cp", os.pathsep.join(map(str, path)), "-d", output])


def compose_plugin() -> str:
    """The option that lets the compiler know what a composable function is."""
    return f"-Xplugin={_KOTLIN / 'lib' / 'compose-compiler-plugin.jar'}"


@cache
def core_jar(project: Path = APP) -> Path:
    """`core/` of a project with its tests."""
    return _compiled("core", [project / "core" / "src"])


@cache
def app_jar(project: Path = APP) -> Path:
    """`app/` of a project with its tests, against the signatures of `android_stubs`."""
    sources = project / "app" / "src"
    folders = [sources / of / "kotlin" for of in ("main", "test", "androidTest")]
    return _compiled("app", [*folders, STUBS], classpath=[core_jar(project)])


def _compiled(name: str, folders: Sequence[Path], classpath: Sequence[Path] = ()) -> Path:
    """Compile with warnings as errors, once for the same sources wherever they lie."""
    files = [
        (path, path.relative_to(folder)) for folder in folders for path in folder.rglob("*.kt")
    ]
    digest = hashlib.sha256("".join(jar.name for jar in classpath).encode())
    for path, place in sorted(files, key=lambda file: (file[1], file[0].read_bytes())):
        digest.update(place.as_posix().encode() + path.read_bytes())
    jar = _BUILT / f"{name}-{digest.hexdigest()[:16]}.jar"
    if not jar.exists():
        _BUILT.mkdir(parents=True, exist_ok=True)
        part = _BUILT / f"part-{os.getpid()}.jar"
        done = kotlinc(folders, part, "-Werror", "-module-name", name, classpath=classpath)
        assert done.returncode == 0, done.stderr
        part.rename(jar)
    return jar


def core_tests(
    *tests: str, assets: Path, golden: Path = GOLDEN_PIXELS, project: Path = APP
) -> subprocess.CompletedProcess[str]:
    """Run test classes of `core/`; the caller looks at code and stdout."""
    folders = [f"-Dmobilecv.golden={golden}", f"-Dmobilecv.assets={assets}"]
    return junit([f"org.mobilecv.core.{test}" for test in tests], *folders, project=project)


def junit(
    tests: Sequence[str], *options: str, classpath: Sequence[Path] = (), project: Path = APP
) -> subprocess.CompletedProcess[str]:
    """Run JUnit 4 test classes by their full names."""
    runner = "org.junit.runner.JUnitCore"
    return java(runner, *tests, options=options, classpath=classpath, project=project)


def java(
    main_class: str,
    *words: str | Path,
    options: Sequence[str] = (),
    classpath: Sequence[Path] = (),
    project: Path = APP,
) -> subprocess.CompletedProcess[str]:
    """Run a class with the core, Kotlin's library and JUnit at hand."""
    jars = [*classpath, core_jar(project), _KOTLIN / "lib" / "kotlin-stdlib.jar", *_JUNIT]
    path = os.pathsep.join(map(str, jars))
    return _run(["java", "-XX:+UseSerialGC", *options, "-cp", path, main_class, *words])


def _run(words: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    # One small compilation after another: what the server VM would gain, it never earns back.
    environment = os.environ | {"JAVA_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"}
    return subprocess.run(
        list(map(str, words)),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=environment,
    )
