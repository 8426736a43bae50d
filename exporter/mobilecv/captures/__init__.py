"""Networks captured on disk: what every target converts, free of the source's own framework code.

A capture is made once, in the source's process. Each format's worker then starts from it, so that
a model is loaded and traced once, custom layers and in-memory models included.
"""

from __future__ import annotations

from typing import TypeAlias

from mobilecv.captures.tensorflow import TensorFlowGraph
from mobilecv.captures.torch_program import TorchProgram

Capture: TypeAlias = TensorFlowGraph | TorchProgram

__all__ = ["Capture", "TensorFlowGraph", "TorchProgram"]
