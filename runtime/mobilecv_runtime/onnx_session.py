"""Opens ONNX Runtime sessions on the CPU, alike for every runner that needs one."""

from __future__ import annotations

from typing import Any

from mobilecv_runtime.errors import BundleError, guest, in_one_line


def open_session(model: str | bytes, *, threads: int, spins: bool = True) -> Any:
    """Load a model into ONNX Runtime.

    Args:
        model: The path of an `.onnx` file, or a serialized model.
        threads: How many threads one inference may use.
        spins: Whether they wait for the next inference in a loop, ready at once; where other work
            comes in between, they take the cores from it.

    Returns:
        An `onnxruntime.InferenceSession`.

    Raises:
        MissingDependencyError: If onnxruntime is not installed.
        BundleError: If ONNX Runtime refuses the model; the message is its own first line.
    """
    onnxruntime = guest("onnxruntime", extra="onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spins)))
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    # onnxruntime's errors share no base class but Exception.
    except Exception as error:
        raise BundleError(in_one_line(error)) from error
