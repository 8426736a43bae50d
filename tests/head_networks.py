"""Makes a network for every head, in a process of its own: `head_networks.py FRAMEWORK FOLDER`.

Each folder `<head>` gets `made.pickle`: what the source says of itself, its capture, and its scores
on `images(16, seed=1)`; and beside the folders lies the network as a file.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np

from mobilecv.sources import SourceSession, wrap_model
from mobilecv.sources.base import StatedInput
from mobilecv_runtime.spec import PRESETS, Contract, Head, ImageInput, Labels, UInt8Array

OUTPUTS = {
    "softmax": 4,
    "logits": 4,
    "sigmoid": 1,
    "sigmoid-logits": 1,
    "multi-label": 4,
    "multi-label-logits": 4,
    "regression": 3,
}
ACTIVATIONS = {"softmax": "softmax", "sigmoid": "sigmoid", "multi-label": "sigmoid"}
SIZE = (16, 16)


def images(count: int, seed: int) -> UInt8Array:
    """Coarse patches of light with fine noise: photos are mostly that."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(20, 235, (count, 4, 4, 3)).repeat(4, axis=1).repeat(4, axis=2)
    return (coarse + random.normal(0, 8, coarse.shape)).clip(0, 255).astype(np.uint8)


def contract(head: str) -> Contract:
    """What the network of a head keeps to."""
    count = Head(kind=head).scores_of(OUTPUTS[head])
    return Contract(
        image=ImageInput(height=SIZE[0], width=SIZE[1], channels=3),
        preprocessing=PRESETS["tf"],
        head=Head(kind=head),
        labels=Labels.of_values(count) if head == "regression" else Labels.numbered(count),
    )


def wanted(head: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation that the last layer's values shall have."""
    if head == "regression":
        # Of like size: in int8 the values of the last layer share one scale.
        return np.array([30.0, -2.0, 0.0]), np.array([10.0, 8.0, 12.0])
    return np.linspace(-1, 1, OUTPUTS[head]), np.full(OUTPUTS[head], 2.0)


def keras_network(head: str, file: Path) -> Any:
    """A Keras model whose values are spread as `wanted` says."""
    import keras

    keras.utils.set_random_seed(5)
    layers = keras.layers
    image = keras.Input((*SIZE, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    x = layers.Flatten()(layers.AveragePooling2D(4)(x))
    last = layers.Dense(OUTPUTS[head])
    linear = keras.Model(image, last(x))
    values = np.asarray(linear(PRESETS["tf"].apply(images(64, seed=3))))
    mean, deviation = wanted(head)
    weights, _ = last.get_weights()
    scale = deviation / values.std(axis=0)
    last.set_weights([weights * scale, mean - values.mean(axis=0) * scale])
    outputs = layers.Activation(ACTIVATIONS.get(head, "linear"))(linear.output)
    model = keras.Model(image, outputs)
    model.save(file.with_suffix(".keras"))
    return model


def torch_network(head: str, file: Path) -> Any:
    """A PyTorch module whose values are spread as `wanted` says."""
    import torch
    from torch import nn

    torch.manual_seed(5)
    last = nn.Linear(8 * 16, OUTPUTS[head])
    linear = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.ReLU(),
        nn.AvgPool2d(4),
        nn.Flatten(),
        last,
    )
    values = PRESETS["tf"].apply(images(64, seed=3)).transpose(0, 3, 1, 2).copy()
    mean, deviation = (torch.tensor(each, dtype=torch.float32) for each in wanted(head))
    with torch.no_grad():
        given = linear(torch.from_numpy(values))
        scale = deviation / given.std(0)
        last.weight.mul_(scale[:, None])
        last.bias.copy_((last.bias - given.mean(0)) * scale + mean)
    activation = {"softmax": nn.Softmax(1), "sigmoid": nn.Sigmoid()}.get(ACTIVATIONS.get(head))
    module = nn.Sequential(*linear, *([activation] if activation else []))
    torch.export.save(
        torch.export.export(module.eval(), (torch.zeros(1, 3, *SIZE),)), file.with_suffix(".pt2")
    )
    return module


def main(framework: str, folder: Path) -> None:
    """Make all networks of a framework."""
    make = {"keras": keras_network, "pytorch": torch_network}[framework]
    for head in OUTPUTS:
        place = folder / head
        place.mkdir()
        session = SourceSession(wrap_model(make(head, folder / head)))
        described = session.describe(StatedInput(size=SIZE, channels=3))
        scores = session.scores(images(16, seed=1), contract(head))
        capture = session.capture(place / "network", (*SIZE, 3))
        (place / "made.pickle").write_bytes(pickle.dumps((described, capture, scores)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
