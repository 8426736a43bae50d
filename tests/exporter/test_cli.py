from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mobilecv.targets import TARGETS
from tests_shared import DIGITS, ROOT, Cli


def test_help_imports_no_framework_and_no_numpy() -> None:
    code = (
        "import sys; sys.argv = ['mobilecv', '--help']\n"
        "from mobilecv.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code)\n"
        "print(sorted({'tensorflow', 'keras', 'torch', 'coremltools', 'onnx', 'onnxruntime', "
        "'numpy', 'PIL', 'rich', 'h5py', 'ai_edge_litert'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["0", "[]"]


@pytest.mark.parametrize("command", ["export", "verify", "bench", "classify", "inspect"])
def test_every_command_has_help(command: str, cli: Cli) -> None:
    done = cli(command, "--help")
    assert done.returncode == 0
    assert f"mobilecv {command}" in done.stdout or command in done.stdout


def test_no_command_prints_the_help(cli: Cli) -> None:
    assert "Commands:" in cli().stdout + cli().stderr


def test_the_version_is_told(cli: Cli) -> None:
    assert re.fullmatch(r"mobilecv \d+\.\d+\.\d+\n", cli("--version").stdout)


@pytest.mark.parametrize("words", [["expropriate"], ["export"], ["bench", "--threads", "many"]])
def test_unknown_words_are_wrong_usage(words: list[str], cli: Cli) -> None:
    done = cli(*words)
    assert done.returncode == 2
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["verify", "bench"])
def test_no_bundle_is_wrong_usage(command: str, cli: Cli) -> None:
    done = cli(command)
    assert done.returncode == 2
    assert "no bundle below the current folder" in done.stderr


def test_verify_finds_the_bundle_below_the_current_folder(cli: Cli, bundle: Path) -> None:
    done = cli("verify", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["agrees"] is True
    assert report["bundle"] == bundle.name
    outcomes = {entry["id"]: entry["outcome"] for entry in report["artifacts"]}
    assert set(outcomes.values()) == {"agrees"}
    estimated = {"mlpackage (fp16 estimate)", "mlpackage-int8 (fp16 estimate)"}
    assert {"source", *TARGETS} | estimated == outcomes.keys()
    engines = {entry["id"]: entry["engine"] for entry in report["artifacts"]}
    assert "not Apple's runtime" in engines["mlpackage (fp16 estimate)"]


def test_the_newest_of_several_bundles_is_taken_aloud(cli: Cli, bundle: Path) -> None:
    older = shutil.copytree(bundle, bundle.parent / "older")
    (bundle / "mobilecv.json").touch()
    done = cli("verify", "--no-source")
    assert f"using the newest bundle, {bundle.name}; there are others: {older.name}" in done.stderr


def test_a_failed_check_exits_with_1(cli: Cli, bundle: Path) -> None:
    golden = bundle / "golden" / "golden.json"
    data = json.loads(golden.read_text())
    for entry in data["images"]:
        entry["scores"] = entry["scores"][::-1]
    golden.write_text(json.dumps(data))
    from mobilecv_runtime.digests import digest_of

    manifest = json.loads((bundle / "mobilecv.json").read_text())
    manifest["golden"]["sha256"] = digest_of(golden)
    (bundle / "mobilecv.json").write_text(json.dumps(manifest))
    done = cli("verify", "--no-source")
    assert done.returncode == 1
    assert "✗ DIFFERS" in done.stdout
    assert f" 0 agree, {len(TARGETS)} differ, 0 skipped;" in done.stdout


def test_a_damaged_bundle_exits_with_6(cli: Cli, bundle: Path) -> None:
    (bundle / "labels.txt").write_text("x")
    done = cli("verify", bundle)
    assert done.returncode == 6
    assert done.stderr.startswith("error: ")
    assert done.stdout == ""


def test_reports_come_as_markdown(cli: Cli, bundle: Path) -> None:
    done = cli("verify", bundle, "--no-source", "--format", "markdown")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("| artifact")
    assert re.fullmatch(r"\|[-:|]+\|", lines[1])
    assert len({line.count("|") for line in lines[:11]}) == 1


def test_bench_times_every_artifact_and_the_source(cli: Cli, exported: Path) -> None:
    done = cli("bench", exported, "--device", "cpu", "--runs", "5", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    timings = {entry["name"]: entry for entry in report["timings"]}
    assert next(iter(timings)) == "source"
    assert {"tflite", "tflite-int8", "onnx"} <= timings.keys()
    assert timings["tflite-int8"]["p50_ms"] > 0
    assert timings["source"]["peak_memory_bytes"] > timings["tflite"]["peak_memory_bytes"]
    assert report["preprocessing_ms"] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--device", "npu"], "unknown device"), (["--threads", "0"], "at least 1")],
)
def test_impossible_benches_are_refused(
    words: list[str], message: str, cli: Cli, exported: Path
) -> None:
    done = cli("bench", exported, *words)
    assert done.returncode == 2
    assert message in done.stderr


def test_classify_prints_labels_and_nothing_else(
    cli: Cli, exported: Path, digits_photos: Path
) -> None:
    photo = sorted((digits_photos / "test" / "four").iterdir())[0]
    for artifact in ("tflite-int8", exported / "digits.onnx"):
        done = cli("classify", photo, "--bundle", exported, "--artifact", artifact, "--top", "2")
        assert done.returncode == 0, done.stderr
        assert re.fullmatch(r"four +\d+\.\d+%\n\w+ +\d+\.\d+%\n", done.stdout)
        assert "XNNPACK" not in done.stderr
    done = cli("classify", photo, "--bundle", exported, "--json")
    assert json.loads(done.stdout)["predictions"][0]["label"] == "four"


def test_inspect_looks_into_artifacts_sources_and_bundles(cli: Cli, exported: Path) -> None:
    done = cli("inspect", exported / "digits-int8.tflite")
    assert "uint8 1x32x32x3, scale 1, zero point 0" in done.stdout
    done = cli("inspect", DIGITS)
    assert done.returncode == 0, done.stderr
    assert "Keras 3" in done.stdout
    assert "DepthwiseConv2D 3" in done.stdout
    assert cli("inspect", exported).stdout.count("labels     10: zero, one") == len(TARGETS)
    data = json.loads(cli("inspect", exported / "digits.mlpackage", "--json").stdout)
    assert data["labels"][0] == "zero"
    done = cli("inspect", "gone.onnx")
    assert done.returncode == 6


def test_inspecting_a_source_starts_no_tensorflow() -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from mobilecv.sources.keras.inspection import inspect_keras\n"
        "print(inspect_keras(Path(sys.argv[1])).parameters)\n"
        "print('tensorflow' in sys.modules, 'keras' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, DIGITS], capture_output=True, text=True, check=True
    )
    parameters, modules = done.stdout.splitlines()
    assert int(parameters) > 5000
    assert modules == "False False"


def test_the_readme_shows_the_real_help(cli: Cli) -> None:
    readme = (ROOT / "README.md").read_text()
    for line in cli("--help").stdout.splitlines():
        if line.startswith("  ") and " " in line.strip():
            assert line.strip() in readme, line


@pytest.mark.parametrize("command", ["export", "verify", "bench"])
def test_code_is_allowed_by_the_same_flags_everywhere(command: str, cli: Cli) -> None:
    shown = cli(command, "--help").stdout
    for flag in ("--architecture", "--architecture-args", "--allow-pickle"):
        assert f"{flag} " in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--architecture-args", "{}"], "--architecture-args goes with --architecture"),
        (["--architecture", "timm:resnet18", "--architecture-args", "7"], "a JSON object"),
        (["--architecture", "resnet18"], "expected torchvision.models:NAME, timm:NAME"),
        (["--architecture", "gone.py:build"], "gone.py: no such file"),
        ([], "name what builds it with --architecture"),
        (["--architecture", "{nets}:build"], "state it with --size"),
    ],
)
def test_wrong_words_about_an_architecture_are_wrong_usage(
    words: list[str], message: str, cli: Cli, torch_files: Path
) -> None:
    stated = [word.replace("{nets}", str(torch_files / "nets.py")) for word in words]
    done = cli("export", torch_files / "plain.pt", *stated)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stdout == ""


def test_an_encoding_without_our_signs_is_no_failure(
    cli: Cli, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "cp1252")

    table = cli("verify", bundle, "--no-source")
    assert table.returncode == 0, table.stderr
    assert "\\u2713 agrees" in table.stdout

    manifest = bundle / "mobilecv.json"
    data = json.loads(manifest.read_text(encoding="utf-8"))
    data["name"] = "Ziffern \N{INFINITY}"
    manifest.write_text(json.dumps(data), encoding="utf-8")
    found = cli("inspect", bundle, "--json")
    assert found.returncode == 0, found.stderr
    assert "Ziffern \\u221e" in found.stdout
    assert json.loads(found.stdout)
