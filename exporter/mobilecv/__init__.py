"""Exports a trained image classifier to Core ML, TFLite and ONNX, and proves every file.

```
import mobilecv

report = mobilecv.export("model.h5", mobilecv.ExportOptions(targets=["tflite"]))
mobilecv.verify(report.bundle.path, images="photos")
```
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mobilecv.benchmarking import BenchReport, benchmark
    from mobilecv.options import ModelOptions
    from mobilecv.pipeline import ExportOptions, ExportReport, export
    from mobilecv.sources.loading import LoadOptions
    from mobilecv.verification import VerifyReport, verify
    from mobilecv_runtime.errors import MobileCVError

__all__ = [
    "BenchReport",
    "ExportOptions",
    "ExportReport",
    "LoadOptions",
    "MobileCVError",
    "ModelOptions",
    "VerifyReport",
    "benchmark",
    "export",
    "verify",
]

_HOMES: Final = {
    "BenchReport": "mobilecv.benchmarking",
    "ExportOptions": "mobilecv.pipeline",
    "ExportReport": "mobilecv.pipeline",
    "LoadOptions": "mobilecv.sources.loading",
    "MobileCVError": "mobilecv_runtime.errors",
    "ModelOptions": "mobilecv.options",
    "VerifyReport": "mobilecv.verification",
    "benchmark": "mobilecv.benchmarking",
    "export": "mobilecv.pipeline",
    "verify": "mobilecv.verification",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used (PEP 562), so that `mobilecv --help` stays instant."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mobilecv' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
