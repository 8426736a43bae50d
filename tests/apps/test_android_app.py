"""`android_app/app`, type-checked against signatures, and its resources linked by aapt2."""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from pathlib import Path

from apps.android_tools import (
    APP,
    FRAMEWORK,
    STUBS,
    app_jar,
    compose_plugin,
    core_jar,
    junit,
    kotlinc,
    need,
)

MAIN = APP / "app" / "src" / "main"


def test_the_app_type_checks_without_a_warning_and_its_tests_pass(android_project: Path) -> None:
    jar = app_jar(android_project)
    folder = android_project / "app" / "src" / "test" / "kotlin"
    tests = [path.relative_to(folder).with_suffix("") for path in folder.rglob("*Test.kt")]
    assert len(tests) >= 2
    ran = junit([".".join(test.parts) for test in tests], classpath=[jar], project=android_project)
    assert ran.returncode == 0, ran.stdout


def test_composables_are_called_from_composables_only(tmp_path: Path) -> None:
    sources = [MAIN / "kotlin", *STUBS.glob("*.kt")]
    done = kotlinc(sources, tmp_path / "app.jar", compose_plugin(), classpath=[core_jar()])
    assert ": error:" not in done.stderr, done.stderr
    # Behind its checks the plugin wants the real library to generate code, and stops: that it got
    # so far is the proof that it checked.
    assert "The Compose Compiler requires the Compose Runtime" in done.stderr, done.stderr


def test_a_composable_called_from_elsewhere_is_noticed(tmp_path: Path) -> None:
    wrong = tmp_path / "Wrong.kt"
    wrong.write_text('import androidx.compose.material3.Text\nfun wrong() { Text(text = "") }\n')
    sources = [wrong, *STUBS.glob("*.kt")]
    done = kotlinc(sources, tmp_path / "app.jar", compose_plugin())
    assert "@Composable invocations can only happen" in done.stderr


def test_manifest_and_resources_link_and_the_models_stay_uncompressed(
    android_project: Path, tmp_path: Path
) -> None:
    need("aapt2", FRAMEWORK)
    main = android_project / "app" / "src" / "main"
    assets = tmp_path / "assets"
    shutil.copytree(main / "assets", assets)
    (assets / "model.tflite").write_bytes(bytes(4096))
    compiled, package = tmp_path / "compiled.zip", tmp_path / "app.apk"
    aapt2("compile", "--dir", main / "res", "-o", compiled)
    aapt2(
        *("link", "-I", FRAMEWORK, "--manifest", manifest_for_api_29(main, tmp_path), "-A", assets),
        *("--min-sdk-version", "24", "--target-sdk-version", "29", "-o", package, compiled),
        *(word for suffix in uncompressed(android_project) for word in ("-0", f".{suffix}")),
    )
    with zipfile.ZipFile(package) as archive:
        packed = {i.filename: i for i in archive.infolist() if i.filename.startswith("assets/")}
    files = [path for path in assets.rglob("*") if path.is_file()]
    assert set(packed) == {f"assets/{path.relative_to(assets).as_posix()}" for path in files}
    models = [info for name, info in packed.items() if name.endswith(".tflite")]
    assert all(info.compress_type == zipfile.ZIP_STORED for info in models)


def uncompressed(project: Path) -> list[str]:
    build_file = project / "app" / "build.gradle.kts"
    return re.findall(r'noCompress \+= "(\w+)"', build_file.read_text())


def manifest_for_api_29(main: Path, folder: Path) -> Path:
    """What Debian's framework of API 29 lacks is taken out: an element of API 31.

    The package's name is put in, as the Android Gradle plugin does from `namespace`.
    """
    text = (main / "AndroidManifest.xml").read_text()
    text, removed = re.subn(r"<uses-native-library.*?/>", "", text, flags=re.DOTALL)
    assert removed == 1
    manifest = folder / "AndroidManifest.xml"
    manifest.write_text(text.replace("<manifest ", '<manifest package="org.mobilecv.app" ', 1))
    return manifest


def aapt2(*words: str | Path) -> None:
    done = subprocess.run(
        ["aapt2", *map(str, words)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
