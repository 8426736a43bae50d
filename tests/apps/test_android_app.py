"""`android_app/app`, type-checked against signatures, and its resources linked by aapt2."""

from __future__ import annotations

import re
import subprocess
import zipfile
from pathlib import Path

from apps.android_tools import APP, FRAMEWORK, STUBS, compose_plugin, core_jar, junit, kotlinc, need

MAIN = APP / "app" / "src" / "main"
TESTS = APP / "app" / "src" / "test" / "kotlin"
TESTS_ON_A_DEVICE = APP / "app" / "src" / "androidTest" / "kotlin"


def test_the_app_type_checks_without_a_warning_and_its_tests_pass(tmp_path: Path) -> None:
    sources = [MAIN / "kotlin", TESTS, TESTS_ON_A_DEVICE, *STUBS.glob("*.kt")]
    jar = tmp_path / "app.jar"
    done = kotlinc(sources, jar, "-Werror", classpath=[core_jar()])
    assert done.returncode == 0, done.stderr
    tests = [path.relative_to(TESTS).with_suffix("") for path in TESTS.rglob("*Test.kt")]
    ran = junit([".".join(test.parts) for test in tests], classpath=[jar])
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


def test_manifest_and_resources_link_and_the_model_stays_uncompressed(tmp_path: Path) -> None:
    need("aapt2", FRAMEWORK)
    assets = tmp_path / "assets"
    assets.mkdir()
    (assets / "model.tflite").write_bytes(bytes(4096))
    compiled, package = tmp_path / "compiled.zip", tmp_path / "app.apk"
    aapt2("compile", "--dir", MAIN / "res", "-o", compiled)
    aapt2(
        *("link", "-I", FRAMEWORK, "--manifest", manifest_for_api_29(tmp_path), "-A", assets),
        *("--min-sdk-version", "24", "--target-sdk-version", "29", "-o", package, compiled),
        *(word for suffix in uncompressed() for word in ("-0", f".{suffix}")),
    )
    with zipfile.ZipFile(package) as archive:
        assert archive.getinfo("assets/model.tflite").compress_type == zipfile.ZIP_STORED


def uncompressed() -> list[str]:
    return re.findall(r'noCompress \+= "(\w+)"', (APP / "app" / "build.gradle.kts").read_text())


def manifest_for_api_29(folder: Path) -> Path:
    """What Debian's framework of API 29 lacks is taken out: an element of API 31.

    The package's name is put in, as the Android Gradle plugin does from `namespace`.
    """
    text = (MAIN / "AndroidManifest.xml").read_text()
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
