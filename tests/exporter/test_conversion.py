from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path

import pytest

from mobilecv.captures import Capture, TensorFlowGraph, TorchProgram
from mobilecv.conversion import convert_all, with_bases
from mobilecv.progress import SILENT, Progress
from mobilecv.targets import TARGETS, Job, Target
from mobilecv_runtime.child import tell
from mobilecv_runtime.errors import ConversionError, WorkerError
from mobilecv_runtime.spec import Contract, Head, ImageInput, Labels, Preprocessing

CONTRACT = Contract(
    image=ImageInput(height=2, width=2, channels=3),
    preprocessing=Preprocessing(),
    head=Head(),
    labels=Labels(("a",)),
)


def write(job: Job) -> None:
    tell("writing")
    assert job.base is None or job.base.exists()
    job.output.write_text(str(os.getpid()))


def refuse(_: Job) -> None:
    raise ConversionError("cannot do that")


def crash(_: Job) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


class PlantedConverter:
    """Stands in for `conversion.Converter`, whose registry is fixed in the child."""

    def convert(self, target: str, job: Job) -> None:
        {"good": write, "bad": refuse, "ugly": crash}[target.partition("-")[0]](job)


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mobilecv.conversion.Converter", PlantedConverter)


def target(id_: str, **changes: object) -> Target:
    return dataclasses.replace(TARGETS["tflite"], id=id_, suffix=id_, **changes)


class Listener:
    """Keeps what a journey tells."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def note(self, text: str) -> None:
        self.told.append(("note", text))

    def begin(self, step: str) -> None:
        self.told.append((step, "begins"))

    def within(self, step: str, text: str) -> None:
        self.told.append((step, text))

    def end(self, step: str, outcome: str, seconds: float) -> None:
        assert seconds > 0
        self.told.append((step, outcome))


def converted(
    targets: list[Target], folder: Path, progress: Progress = SILENT, *, is_torch: bool = False
) -> dict[str, object]:
    graph = folder / "graph.pb"
    graph.write_bytes(b"small")
    capture: Capture = TensorFlowGraph(path=graph, input="i", output="o")
    if is_torch:
        capture = TorchProgram(path=graph, dynamic_batch=True)

    def job_for(each: Target) -> Job:
        return Job(
            name="x",
            contract=CONTRACT,
            capture=capture,
            base=folder / each.starts_from if each.starts_from else None,
            calibration=None,
            output=folder / each.id,
        )

    done = convert_all(targets, job_for, log=folder / "log", progress=progress, timeout_s=None)
    return {each.target.id: each.error for each in done}


@pytest.mark.usefixtures("planted")
def test_a_crash_is_one_targets_failure_and_the_others_land(tmp_path: Path) -> None:
    names = ["good-1", "ugly", "good-2", "bad", "good-3"]
    errors = converted([target(name) for name in names], tmp_path)
    assert isinstance(errors["ugly"], WorkerError)
    assert "SIGSEGV" in str(errors["ugly"])
    assert isinstance(errors["bad"], ConversionError)
    processes = [(tmp_path / name).read_text() for name in names if name.startswith("good")]
    assert processes[0] != processes[1] == processes[2]


@pytest.mark.usefixtures("planted")
def test_the_user_hears_how_far_each_target_is(tmp_path: Path) -> None:
    listener = Listener()
    converted([target("good-1"), target("good-2")], tmp_path, listener)
    words = ("begins", "writing", "converted")
    assert listener.told == [(name, word) for name in ("good-1", "good-2") for word in words]


@pytest.mark.usefixtures("planted")
def test_what_is_made_from_a_float_file_is_made_in_a_fresh_process(tmp_path: Path) -> None:
    names = ["good-1", "good-2"]
    derived = [target(name, starts_from="good-1") for name in ("good-3", "good-4")]
    converted([*map(target, names), *derived], tmp_path)
    first, second, third, fourth = [(tmp_path / f"good-{n}").read_text() for n in (1, 2, 3, 4)]
    assert first == second != third == fourth


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize(
    ("limit", "is_torch", "processes"),
    # litert-torch takes packages that are kept from coremltools and torch.onnx.
    [(10**9, False, 2), (10**9, True, 3), (0, False, 6)],
)
def test_formats_share_processes_if_the_network_is_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, is_torch: bool, processes: int
) -> None:
    monkeypatch.setattr("mobilecv.conversion._SMALL", limit)
    targets = []
    for format_ in ("coreml", "tflite", "onnx"):
        base = target(f"good-{format_}", format=format_)
        targets += [base, target(f"good-{format_}-int8", format=format_, starts_from=base.id)]

    errors = converted(targets, tmp_path, is_torch=is_torch)

    # In this order, whichever they were made in.
    assert errors == {each.id: None for each in targets}
    assert len({(tmp_path / each.id).read_text() for each in targets}) == processes


@pytest.mark.usefixtures("planted")
def test_what_starts_from_a_failed_target_fails_with_it(tmp_path: Path) -> None:
    errors = converted([target("bad"), target("good", starts_from="bad")], tmp_path)
    assert "starts from bad, which failed: cannot do that" in str(errors["good"])


def test_a_target_brings_the_one_it_starts_from() -> None:
    assert [each.id for each in with_bases([TARGETS["onnx-int8"]])] == ["onnx", "onnx-int8"]


def test_every_target_names_a_base_of_its_own_format() -> None:
    for each in TARGETS.values():
        assert each.starts_from is None or TARGETS[each.starts_from].format == each.format
