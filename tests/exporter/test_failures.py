"""Bad input: one clear line, its exit code, nothing half-written, an earlier bundle intact."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mobilecv_runtime.digests import digest_of
from tests_shared import DIGITS, Cli, run_cli

DIFFERS, USAGE, SOURCE, CONVERSION, MISSING, BUNDLE, IMAGE, OUTPUT = range(1, 9)


def refused(done: subprocess.CompletedProcess[str], code: int, message: str) -> None:
    assert done.returncode == code, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert message in errors[0]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("empty.h5", b"", "the file is empty"),
        ("words.h5", b"not a model at all", "truncated, or not a Keras model"),
        ("half.h5", DIGITS.read_bytes()[:40_000], "truncated, or not a Keras model"),
        ("half.keras", b"PK\x03\x04" + bytes(100), "truncated, or not a Keras model"),
        ("model.pkl", b"\x80\x04.", "unknown kind of model"),
    ],
)
def test_a_file_that_is_no_model(
    name: str, data: bytes, message: str, cli: Cli, tmp_path: Path
) -> None:
    place = tmp_path / "models"
    place.mkdir()
    (place / name).write_bytes(data)
    refused(cli("export", place / name), SOURCE, message)
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_a_missing_file_or_a_folder(cli: Cli, tmp_path: Path) -> None:
    refused(cli("export", "gone.h5"), SOURCE, "gone.h5: no such file")
    (tmp_path / "folder.h5").mkdir()
    refused(cli("export", "folder.h5"), SOURCE, "a folder")


@pytest.mark.parametrize(
    ("kind", "suffix", "message"),
    [
        ("gray_weights", ".weights.h5", "weights without an architecture"),
        ("not_an_image", ".keras", "its input is of shape (None, 7)"),
        ("two_outputs", ".h5", "1 inputs and 2 outputs"),
        ("code", ".keras", "Lambda"),
        ("nan", ".keras", "answers NaN or infinity"),
        ("relu", ".keras", "state one with --head"),
    ],
)
def test_a_model_that_is_no_image_classifier(
    kind: str, suffix: str, message: str, make_model, cli: Cli, tmp_path: Path
) -> None:
    refused(cli("export", make_model(kind, suffix)), SOURCE, message)
    assert is_empty(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--to", "tensorrt"], "unknown target; choose from: coreml"),
        (["--calibration", "nowhere"], "nowhere: no such folder"),
        (["--images", "nowhere"], "nowhere: no such folder"),
        (["--labels", "nowhere.txt"], "nowhere.txt: cannot be read"),
        (["--labels", "two.txt"], "two.txt: 2 labels, but the model has 10 outputs"),
        (["--labels", "twice.txt"], "stands more than once"),
        (["--preset", "imagenet"], "preset 'imagenet' is unknown"),
        (["--scale", "much"], "--scale 'much': expected a number"),
        (["--size", "64"], "fixed to 32x32"),
        (["--preset", "raw", "--scale", "1"], "state the preprocessing once"),
    ],
)
def test_wrong_usage(words: list[str], message: str, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "two.txt").write_text("a\nb\n")
    (tmp_path / "twice.txt").write_text("a\n" * 10)
    refused(cli("export", DIGITS, *words), USAGE, message)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["twice.txt", "two.txt"]


@pytest.mark.parametrize("flag", ["--calibration", "--images"])
def test_a_folder_without_photos_is_refused_before_the_model_is_read(
    flag: str, cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    done = cli("export", DIGITS, flag, "empty")
    refused(done, USAGE, "empty: no photos in it")
    assert "source" not in done.stderr  # The step in which it is read.


@pytest.mark.parametrize("targets", ["tflite-int8", "onnx,onnx-int8"])
def test_int8_needs_photos(targets: str, cli: Cli, tmp_path: Path) -> None:
    shutil.copy(DIGITS, tmp_path)
    (tmp_path / "calibration").mkdir()  # It holds none.
    refused(cli("export", DIGITS.name, "--to", targets), USAGE, "pass --calibration DIR")


def test_windows_line_ends_and_a_byte_order_mark_are_accepted(cli: Cli, tmp_path: Path) -> None:
    names = [f"digit {number}" for number in range(10)]
    (tmp_path / "crlf.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(names).encode() + b"\r\n")
    done = cli("export", DIGITS, "--to", "onnx", "--labels", "crlf.txt")
    assert done.returncode == 0, done.stderr
    written = (tmp_path / "digits-mobilecv" / "labels.txt").read_bytes()
    assert written == "".join(f"{name}\n" for name in names).encode()


def test_an_existing_bundle_needs_force(bundle: Path, cli: Cli) -> None:
    before = digest_of(bundle)
    done = cli("export", DIGITS, "--to", "onnx")
    refused(done, OUTPUT, "exists already; replace it with --force")
    assert digest_of(bundle) == before
    done = cli("export", DIGITS, "--to", "onnx", "--force")
    assert done.returncode == 0, done.stderr
    assert not (bundle / "digits.tflite").exists()


def test_force_never_replaces_something_else_than_a_bundle(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(b"dear")
    done = cli("export", DIGITS, "-o", "photos", "--force")
    refused(done, OUTPUT, "is no mobilecv bundle")
    assert (tmp_path / "photos" / "holiday.jpg").read_bytes() == b"dear"


@pytest.mark.parametrize("output", ["file/bundle", "/dev/null/bundle"])
def test_a_place_that_cannot_be_written_is_refused(output: str, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(cli("export", DIGITS, "-o", output), OUTPUT, "cannot be written")


def test_corrupt_photos_are_left_out_named_and_counted(
    cli: Cli, digits_photos: Path, tmp_path: Path
) -> None:
    photos = shutil.copytree(digits_photos / "test", tmp_path / "photos")
    broken = sorted((photos / "one").iterdir())[:2]
    broken[0].write_bytes(b"")
    broken[1].write_bytes(broken[1].read_bytes()[:100])
    done = cli("export", DIGITS, "--to", "tflite-int8", "--calibration", "photos",
               "--calibration-images", "1000")  # fmt: skip
    assert done.returncode == 0, done.stderr
    for path in broken:
        assert f"left out: photos/one/{path.name}" in done.stderr
    assert done.stderr.count("left out: ") == 2


def test_a_folder_of_nothing_but_corrupt_photos_is_refused(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"broken")
    done = cli("export", DIGITS, "--calibration", "photos")
    refused(done, USAGE, "not one of its photos can be decoded")


def test_a_folder_of_nothing_but_blank_photos_is_refused(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for level in (0, 100, 200):
        Image.new("RGB", (40, 40), (level,) * 3).save(tmp_path / "photos" / f"{level}.png")
    done = cli("export", DIGITS, "--to", "tflite-int8", "--calibration", "photos")
    refused(done, USAGE, "all 3 photos taken for calibration are blank")
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_photo_that_cannot_be_read(cli: Cli, exported: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"broken")
    refused(cli("classify", "a.jpg", "--bundle", exported), IMAGE, "a.jpg: not an image")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_an_interrupted_export_leaves_the_earlier_bundle_intact(
    number: int, code: int, bundle: Path, tmp_path: Path
) -> None:
    before = digest_of(bundle)
    process = subprocess.Popen(
        [sys.executable, "-m", "mobilecv", "export", DIGITS, "--force", "--to", "tflite,onnx"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        partial = wait_for(lambda: next(tmp_path.glob(".digits-mobilecv.mobilecv-partial-*"), None))
        wait_for((partial / ".work" / "graph.pb").exists)
        process.send_signal(number)
        assert process.wait(60) == code
        words = process.stderr.read() if process.stderr else ""
    assert digest_of(bundle) == before
    assert "Traceback" not in words
    if number == signal.SIGINT:
        assert words.splitlines()[-1] == "interrupted; nothing was written"
        assert not list(tmp_path.glob(".*"))
    # The next export clears up what a killed one had to leave.
    done = run_cli("export", DIGITS, "--to", "onnx", "--force", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.glob(".*"))


def wait_for(condition):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise TimeoutError


@pytest.fixture
def without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets every process find no such package, as if it were not installed."""

    def leave_out(package: str) -> None:
        absent = tmp_path / "absent" / package
        absent.mkdir(parents=True)
        absent.joinpath("__init__.py").write_text(
            f"raise ModuleNotFoundError('No module named {package}', name={package!r})\n"
        )
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(absent.parent), *sys.path]))

    return leave_out


@pytest.mark.parametrize(
    ("package", "target", "extra"),
    [
        ("keras", "coreml", "keras"),
        ("coremltools", "coreml", "coreml"),
        ("tf2onnx", "onnx", "onnx"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    package: str, target: str, extra: str, cli: Cli, without: Callable[[str], None], tmp_path: Path
) -> None:
    without(package)
    done = cli("export", DIGITS, "--to", target, "-o", "bundle")
    message = f"{package} is not installed; install it with: pip install 'mobilecv[{extra}]'"
    refused(done, MISSING, message)
    assert not (tmp_path / "bundle").exists()


def test_what_nothing_here_can_run_is_not_verified(
    cli: Cli, without: Callable[[str], None]
) -> None:
    assert cli("export", DIGITS, "--to", "tflite", "-o", "bundle").returncode == 0
    without("ai_edge_litert")
    done = cli("verify", "bundle")
    assert done.returncode == DIFFERS
    assert "pip install 'mobilecv[tflite]'" in done.stdout
    assert "Nothing was verified" in done.stdout


def test_what_nothing_here_can_run_is_not_timed(cli: Cli, without: Callable[[str], None]) -> None:
    assert cli("export", DIGITS, "--to", "tflite", "-o", "bundle").returncode == 0
    without("ai_edge_litert")
    done = cli("bench", "bundle", "--runs", "1")
    assert done.returncode == DIFFERS
    assert "pip install 'mobilecv[tflite]'" in done.stdout
    assert "Nothing was timed" in done.stdout
