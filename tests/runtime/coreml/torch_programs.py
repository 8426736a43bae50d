"""Converts small torch classifiers to ML Programs, and runs these in two ways."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mobilecv_runtime.coreml.lowering import PIXELS, SCORES, Arithmetic
from mobilecv_runtime.coreml.ml_program import lower_ml_program
from mobilecv_runtime.coreml.protobuf import Message
from mobilecv_runtime.coreml.schema import SCHEMA
from runtime.coreml.mil_interpreter import interpret
from runtime.coreml.mil_programs import ct, session

LABELS = ["a", "b", "c", "d"]


def photos(size: int) -> np.ndarray:
    """Two photos of noise, (2, size, size, 3), uint8."""
    return np.random.default_rng(5).integers(0, 256, (2, size, size, 3), dtype=np.uint8)


def torch_scores(network: torch.nn.Module, pixels: np.ndarray) -> np.ndarray:
    """What torch answers on pixels that `converted` networks normalise to -1..1."""
    images = pixels.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
    with torch.no_grad():
        rows = [network(torch.from_numpy(image[None])).numpy() for image in images]
    return np.concatenate(rows)


def converted(network: torch.nn.Module, size: int, precision: Any, target: Any) -> Any:
    """The network as coremltools converts it, with the normalisation on its image input."""
    image = torch.zeros(1, 3, size, size)
    with warnings.catch_warnings():
        # torch deprecates its tracer, and coremltools leaves its temporary folders behind.
        warnings.simplefilter("ignore")
        return ct.convert(
            torch.jit.trace(network.eval(), image),
            inputs=[ct.ImageType(name="image", shape=image.shape, scale=1 / 127.5, bias=[-1] * 3)],
            classifier_config=ct.ClassifierConfig(LABELS),
            compute_precision=precision,
            minimum_deployment_target=target,
            skip_model_load=True,
        )


def saved(model: Any, folder: Path) -> tuple[Any, Path]:
    """The specification of a model, and a copy of its weights that outlives it."""
    weights = folder / "weights"
    shutil.copytree(model.weights_dir, weights)
    return model.get_spec(), weights


def answers(
    spec: Any, weights: Path, pixels: np.ndarray, arithmetic: Arithmetic = "stored"
) -> np.ndarray:
    """What the lowering of a program answers."""
    model = Message(memoryview(spec.SerializeToString()), "Model", SCHEMA)
    running = session(lower_ml_program(model, weights, arithmetic).onnx)
    return np.concatenate([running.run([SCORES], {PIXELS: photo[None]})[0] for photo in pixels])


def interpreted(spec: Any, weights: Path, pixels: np.ndarray, *, half: bool = False) -> np.ndarray:
    """What the slow interpreter answers."""
    images = pixels.transpose(0, 3, 1, 2).astype(np.float32)
    name = spec.description.predictedProbabilitiesName
    rows = [interpret(spec, weights, {"image": image[None]}, half=half)[name] for image in images]
    return np.reshape(rows, (len(pixels), len(LABELS)))
