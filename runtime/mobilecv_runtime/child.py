"""A child process that holds one object and runs its methods.

Frameworks are slow to import, talk on stdout and stderr, and can crash or run out of memory. Here
they do so in a process of their own: what they print goes to a log file, and their death is an
error like any other. Frames on the pipes are pickles, written only by the two ends themselves.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import pickle
import queue
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, NoReturn, Protocol

from mobilecv_runtime.errors import MobileCVError, OutputError, WorkerError, in_one_line

_LENGTH: Final = struct.Struct("<Q")
_SIGKILL: Final = 9
_SCRATCH: Final = "MOBILECV_SCRATCH"
"""The variable with the temporary folder that is the child's alone."""


class Worker(Protocol):
    """Something that runs the methods of an object, in this process or in another one."""

    @property
    def peak_memory(self) -> int:
        """The largest resident memory of the process so far, in bytes."""

    def call(self, method: str, *args: Any) -> Any:
        """Run a method and return what it returns."""


class InProcess:
    """A worker for an object that lives in this very process."""

    def __init__(self, target: object) -> None:
        """Hold the object."""
        self._target = target

    @property
    def peak_memory(self) -> int:
        """The largest resident memory of this process so far, in bytes."""
        return _peak_memory()

    def call(self, method: str, *args: Any) -> Any:
        """Run a method of the object."""
        return getattr(self._target, method)(*args)


class Child:
    """A worker whose object is made and kept in a child process.

    Use it as a context manager: at the end the process is gone, whatever happened, and with it all
    that it left in its temporary folder. (coremltools leaves the whole model there until its
    process ends by itself, which this one never does.)
    """

    def __init__(
        self,
        make: Callable[..., object],
        *args: Any,
        log: Path,
        timeout_s: float | None = None,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Start the process and make the object in it.

        Args:
            make: A function or class that is importable by name; its result is the object.
            args: What `make` is called with; they must pickle.
            log: The file to which the process's stdout and stderr are appended.
            timeout_s: How long one call may take; None for no limit.
            told: Called with what the child tells of its work, see `tell`.

        Raises:
            WorkerError: If the process dies while making the object.
        """
        self.log = log
        self._peak_memory = 0
        self._timeout_s = timeout_s
        self._timed_out = False
        self._told = told
        self._scratch = tempfile.TemporaryDirectory(prefix="mobilecv-", ignore_cleanup_errors=True)
        scratch = self._scratch.name
        with log.open("ab") as chatter:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mobilecv_runtime.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=chatter,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                    **dict.fromkeys(("TMPDIR", "TEMP", "TMP", _SCRATCH), scratch),
                },
            )
        try:
            self._exchange((make, args))
        except BaseException:
            self.close()
            raise

    @property
    def peak_memory(self) -> int:
        """The largest resident memory of the process so far, in bytes."""
        return self._peak_memory

    def call(self, method: str, *args: Any) -> Any:
        """Run a method of the child's object.

        Raises:
            WorkerError: If the process dies, takes too long, or the method fails unforeseen.
            MobileCVError: The one that the method raised.
        """
        return self._exchange((method, args))

    def close(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                # What is left in the buffer has no reader any more.
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._scratch.cleanup()

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _exchange(self, message: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = threading.Timer(self._timeout_s, self._give_up) if self._timeout_s else None
        if timer:
            timer.start()
        try:
            _write(self._process.stdin, message)
            outcome, value, self._peak_memory = _read(self._process.stdout)
            while outcome == "told":
                self._told(value)
                outcome, value, self._peak_memory = _read(self._process.stdout)
        except (EOFError, BrokenPipeError) as error:
            raise WorkerError(self._obituary()) from error
        finally:
            if timer:
                timer.cancel()
        if outcome == "error":
            raise value
        return value

    def _give_up(self) -> None:
        self._timed_out = True
        self._process.kill()

    def _obituary(self) -> str:
        code = self._process.wait()
        if self._timed_out:
            return f"gave no answer within {self._timeout_s:g} s and was stopped"
        if code == -_SIGKILL:
            return "was killed by the system, most likely because the memory ran out"
        if code < 0:
            return f"crashed with {signal.Signals(-code).name}"
        return f"ended unexpectedly with exit code {code}"


_replies: IO[bytes] | None = None
"""In a child, the pipe to its parent."""


def tell(text: str) -> None:
    """Say how far a long piece of work is; heard by the parent of a child process only.

    Args:
        text: A few words, which the next ones replace.
    """
    if _replies is not None:
        _write(_replies, ("told", text, _peak_memory()))


def _write(pipe: IO[bytes], message: object) -> None:
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.write(_LENGTH.pack(len(data)))
    pipe.write(data)
    pipe.flush()


def _read(pipe: IO[bytes]) -> Any:
    header = pipe.read(_LENGTH.size)
    if len(header) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(header)
    data = pipe.read(length)
    if len(data) < length:
        raise EOFError
    return pickle.loads(data)  # noqa: S301 - written by our own other end


def _read_all(pipe: IO[bytes], inbox: queue.Queue[Any]) -> NoReturn:
    """Feed the inbox; when the parent is gone, even killed, end this process at once."""
    while True:
        try:
            inbox.put(_read(pipe))
        except EOFError:
            shutil.rmtree(os.environ[_SCRATCH], ignore_errors=True)
            os._exit(0)


def _answer(run: Any, args: tuple[Any, ...]) -> tuple[str, Any]:
    try:
        return "result", run(*args)
    except MobileCVError as error:
        traceback.print_exc()
        # The cause stays behind: it may be of a class that the parent cannot import.
        return "error", type(error)(*error.args)
    except OSError as error:
        traceback.print_exc()
        return "error", _of_system(error)
    except MemoryError:
        traceback.print_exc()
        return "error", WorkerError("ran out of memory")
    except Exception as error:
        traceback.print_exc()
        return "error", _unforeseen(error)


def _of_system(error: OSError) -> MobileCVError:
    """A full disk is the user's to mend; anything else is unforeseen."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return _unforeseen(error)
    place = f" ({error.filename})" if error.filename else ""
    return OutputError(
        f"the disk is full{place}; free some space, or let TMPDIR (for an export also -o) be on "
        "another disk"
    )


def _unforeseen(error: Exception) -> WorkerError:
    return WorkerError(f"failed with {type(error).__name__}: {in_one_line(error)}")


def _serve() -> NoReturn:
    global _replies  # noqa: PLW0603 - a process has one parent
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle.
    _replies = replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # What libraries print on stdout belongs in the log, not into the frames.
    inbox: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=_read_all, args=(sys.stdin.buffer, inbox), daemon=True).start()
    held: Any = None
    while True:
        what, args = inbox.get()
        run = what if callable(what) else getattr(held, what, None)
        outcome, value = _answer(run, args)
        if callable(what) and outcome == "result":
            held, value = value, None
        _write(replies, (outcome, value, _peak_memory()))


def _peak_memory() -> int:
    """Of this process, in bytes; 0 where unknown.

    Linux tells it in `VmHWM` (proc_pid_status(5)). Its `ru_maxrss` is no use: a process starts with
    that of its parent. macOS counts `ru_maxrss` in bytes (getrusage(2)).
    """
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        found = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
        return int(found[1]) * 1024 if found else 0
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return 0


if __name__ == "__main__":
    # By its name: what others import is not this very module, which is called `__main__`.
    importlib.import_module("mobilecv_runtime.child")._serve()
