"""Runs what `mobilecv export` wrote: light, with numpy, Pillow and one inference engine."""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mobilecv_runtime.bench import measure
    from mobilecv_runtime.bundle import Bundle
    from mobilecv_runtime.classifier import Classifier, Prediction, Value
    from mobilecv_runtime.errors import MobileCVError
    from mobilecv_runtime.parity import compare

__all__ = ["Bundle", "Classifier", "MobileCVError", "Prediction", "Value", "compare", "measure"]

_HOMES: Final = {
    "Bundle": "mobilecv_runtime.bundle",
    "Classifier": "mobilecv_runtime.classifier",
    "MobileCVError": "mobilecv_runtime.errors",
    "Prediction": "mobilecv_runtime.classifier",
    "Value": "mobilecv_runtime.classifier",
    "compare": "mobilecv_runtime.parity",
    "measure": "mobilecv_runtime.bench",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used (PEP 562), so that importing the package is instant."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mobilecv_runtime' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
