"""The artifacts that can be exported; to add one, add its row to a format's `TARGETS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mobilecv.targets import coreml, onnx, tflite
from mobilecv.targets.base import Job, Target

TARGETS: Final[Mapping[str, Target]] = {
    target.id: target for target in (*coreml.TARGETS, *tflite.TARGETS, *onnx.TARGETS)
}

__all__ = ["TARGETS", "Job", "Target"]
