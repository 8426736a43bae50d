from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from mobilecv_runtime.child import Child, InProcess, tell
from mobilecv_runtime.errors import OutputError, UsageError, WorkerError, in_one_line


class Subject:
    """Lives in the child."""

    def __init__(self, start: int = 0) -> None:
        self.value = start

    def add(self, number: int) -> int:
        self.value += number
        return self.value

    def chatter(self) -> int:
        print("words on stdout")
        os.write(1, b"words on the descriptor\n")
        os.write(2, b"words on stderr\n")
        return 7

    def count(self, number: int) -> int:
        for index in range(number):
            tell(f"{index + 1} of {number}")
        return number

    def refuse(self) -> None:
        raise UsageError("a wrong number")

    def fail(self) -> None:
        raise ZeroDivisionError("by zero\nsecond line")

    def write(self, path: str) -> None:
        Path(path).write_text("a word")

    def die(self, number: int) -> None:
        os.kill(os.getpid(), number)

    def sleep(self) -> None:
        time.sleep(60)

    def process(self) -> int:
        return os.getpid()

    def leave_a_file(self) -> str:
        handle, name = tempfile.mkstemp()
        os.close(handle)
        return name


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.txt"


def test_the_object_keeps_its_state_between_calls(log: Path) -> None:
    with Child(Subject, 10, log=log) as child:
        assert child.call("add", 1) == 11
        assert child.call("add", 1) == 12
        assert child.peak_memory > 1_000_000


def test_its_memory_is_its_own_and_not_its_parents(log: Path) -> None:
    ballast = b"x" * 500_000_000
    with Child(Subject, log=log) as child:
        child.call("add", 1)
        assert 1_000_000 < child.peak_memory < len(ballast)


def test_what_it_prints_goes_to_the_log_and_not_into_the_answers(log: Path) -> None:
    with Child(Subject, log=log) as child:
        assert child.call("chatter") == 7
    assert {"words on the descriptor", "words on stderr"} <= set(log.read_text().splitlines())


def test_our_own_errors_arrive_as_they_are(log: Path) -> None:
    with Child(Subject, log=log) as child:
        with pytest.raises(UsageError, match="a wrong number"):
            child.call("refuse")
        assert child.call("add", 1) == 1


def test_an_unforeseen_error_is_one_line_and_its_trace_is_in_the_log(log: Path) -> None:
    with (
        Child(Subject, log=log) as child,
        pytest.raises(WorkerError, match=r"^failed with ZeroDivisionError: by zero$"),
    ):
        child.call("fail")
    assert "Traceback" in log.read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_told(log: Path) -> None:
    with (
        Child(Subject, log=log) as child,
        pytest.raises(OutputError, match=r"^the disk is full; free some space"),
    ):
        child.call("write", "/dev/full")


def test_another_error_of_the_system_is_unforeseen(log: Path) -> None:
    with (
        Child(Subject, log=log) as child,
        pytest.raises(WorkerError, match=r"^failed with FileNotFoundError: "),
    ):
        child.call("write", "no/such/folder")


@pytest.mark.parametrize(
    ("number", "message"),
    [(signal.SIGSEGV, "crashed with SIGSEGV"), (signal.SIGKILL, "memory ran out")],
)
def test_a_death_is_told(number: int, message: str, log: Path) -> None:
    with Child(Subject, log=log) as child, pytest.raises(WorkerError, match=message):
        child.call("die", int(number))


def test_a_hang_ends_with_the_timeout(log: Path) -> None:
    with (
        Child(Subject, log=log, timeout_s=2) as child,
        pytest.raises(WorkerError, match="no answer within 2 s"),
    ):
        child.call("sleep")


def test_a_failing_constructor_leaves_no_process(log: Path) -> None:
    with pytest.raises(WorkerError, match="TypeError"):
        Child(Subject, "not", "right", log=log)


def test_the_child_ends_when_its_parent_is_killed(log: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from mobilecv_runtime.child import Child; import test_child\n"
        "child = Child(test_child.Subject, log=Path(sys.argv[1]))\n"
        "print(child.call('process'), child.call('leave_a_file'), flush=True)\n"
        "child.call('sleep')\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, log, str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        process, left = parent.stdout.readline().split()
        child = int(process)
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()
    assert not Path(left).parent.exists()


def test_what_it_leaves_in_its_temporary_folder_goes_with_it(log: Path) -> None:
    with Child(Subject, log=log) as child:
        left = Path(child.call("leave_a_file"))
        assert left.exists()
    assert not left.parent.exists()


def test_an_object_in_this_process_answers_alike() -> None:
    worker = InProcess(Subject(1))
    assert worker.call("add", 2) == 3
    assert worker.peak_memory > 1_000_000


def test_a_child_tells_how_far_it_is(log: Path) -> None:
    said: list[str] = []
    with Child(Subject, log=log, told=said.append) as child:
        assert child.call("count", 3) == 3
        assert child.call("add", 1) == 1
    assert said == ["1 of 3", "2 of 3", "3 of 3"]


def test_without_a_parent_nothing_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    assert InProcess(Subject()).call("count", 2) == 2
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("", "ValueError"),
        ("\n one \n two", "one"),
        (
            "Graph execution error:\n\n  node x is missing\nmore",
            "Graph execution error: node x is missing",
        ),
        ("only an announcement:", "only an announcement:"),
        ("x" * 400, "x" * 300),
    ],
)
def test_a_frameworks_error_is_told_in_one_line(said: str, shown: str) -> None:
    assert in_one_line(ValueError(said)) == shown
