"""Writes small seeded PyTorch models into a folder, one file of every kind."""

from __future__ import annotations

import argparse
import copy
import sys
import warnings
from pathlib import Path

NETS = '''
import torch
from torch import nn


class Net(nn.Module):
    """A classifier of any size, with all that differs between training and answering."""

    def __init__(self, num_classes=4, in_chans=3):
        super().__init__()
        self.conv = nn.Conv2d(in_chans, 8, 3, stride=2)
        self.bn = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        x = torch.relu(self.bn(self.conv(x)))
        return self.fc(self.drop(x.mean((2, 3))))


class Headed(Net):
    """The same with a last operation by name."""

    def __init__(self, head, num_classes=4):
        super().__init__(num_classes)
        self.head = head

    def forward(self, x):
        scores = super().forward(x)
        if self.head == "log_softmax":
            return scores.log_softmax(1)
        if self.head == "softmax by hand":
            return scores.exp() / scores.exp().sum(1, keepdim=True)
        if self.head == "tuple":
            return scores, scores
        if self.head == "dictionary":
            return {"logits": scores}
        if self.head == "map":
            return x
        if self.head == "forgotten dropout":
            return scores + nn.functional.dropout(scores)
        return getattr(scores, self.head)(*([1] if self.head == "softmax" else []))


class Attentive(nn.Module):
    """With an operation that torch's TorchScript converter does not know when scripted."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 4, stride=4)
        self.attention = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        x = self.conv(x).flatten(2).transpose(1, 2)
        return self.fc(self.attention(x).mean(1))


def build(**arguments):
    return Net(**arguments)


def fails(**arguments):
    raise ValueError("no such luck")


def gives_words():
    return "a network"


number = 7
'''
IMAGE = (1, 3, 12, 10)


def seeded(network):
    """Weights that tell channels and pixels apart, and statistics unlike those at the start."""
    import torch

    generator = torch.Generator().manual_seed(5)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            least = 0.2 if name.endswith("running_var") else -0.4
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + least)
    return network


def write_all(folder: Path) -> None:
    """Write `nets.py` and every file."""
    with warnings.catch_warnings():
        # torch.jit warns of torch's own layers when torch was imported outside of the test.
        warnings.simplefilter("ignore")
        _write_all(folder)


def _write_all(folder: Path) -> None:
    import numpy as np
    import safetensors.torch
    import torch

    (folder / "nets.py").write_text(NETS)
    sys.path.insert(0, str(folder))
    try:
        import nets
    finally:
        sys.path.remove(str(folder))
    network = seeded(nets.Net()).eval()
    weights = network.state_dict()
    image, batch = torch.rand(IMAGE), {0: torch.export.Dim("batch")}

    def save(content: object, name: str, **options: object) -> None:
        torch.save(content, folder / name, **options)

    save(weights, "plain.pt")
    save(weights, "legacy.th", _use_new_zipfile_serialization=False)
    save({"state_dict": weights, "epoch": 3}, "nested.pth")
    save({"model": {"state_dict": weights}, "ema": weights}, "twice.bin")
    save({f"module.{key}": value for key, value in weights.items()}, "parallel.pt")
    save(
        {f"model._orig_mod.{key}": value for key, value in weights.items()}
        | {"loss.weight": torch.ones(2)},
        "compiled.ckpt",
    )
    save(copy.deepcopy(network).half().state_dict(), "half.pt")
    save(
        {"net": copy.deepcopy(network).bfloat16().state_dict(), "lr": 0.1},
        "bfloat.pt",
    )
    save(
        {"state_dict": weights, "args": argparse.Namespace(lr=1), "best": np.float64(0.5)},
        "namespace.pt",
    )
    save({"state_dict": weights, "callback": nets.Headed}, "classes.pt")
    save({"epoch": 3, "optimizer": {"lr": 0.1}}, "no_weights.pt")
    save(weights | {"fc.weight": weights["fc.weight"] * float("nan")}, "nan.pt")
    save({k: v for k, v in weights.items() if "num_batches" not in k}, "uncounted.pt")
    save(network, "module.pt")
    save(network, "legacy_module.pt", _use_new_zipfile_serialization=False)
    safetensors.torch.save_file(weights, folder / "plain.safetensors")
    torch.jit.script(network).save(str(folder / "scripted.pt"))
    attentive = nets.Attentive().eval()
    torch.jit.script(attentive).save(str(folder / "attentive.pt"))
    torch.jit.trace(network, image).save(str(folder / "traced.ts"))
    torch.jit.trace(nets.Net().train(), image, check_trace=False).save(
        str(folder / "traced_in_training.pt")
    )
    two = torch.cat([image, image])
    programs = {
        "any_batch": torch.export.export(network, (two,), dynamic_shapes=(batch,)),
        "one": torch.export.export(network, (image,)),
        "two": torch.export.export(network, (two,)),
    }
    for name, program in programs.items():
        torch.export.save(program, folder / f"{name}.pt2")
