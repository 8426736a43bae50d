"""Our `.tflite` and `.onnx` of a PyTorch network against what its converters give directly.

    python benchmarks/torch_against_direct.py [timm:vit_tiny_patch16_224 mobilenet_v2 ...]

The direct side is the bare network, called as the converters' own documentation does: NCHW float32
input, no normalisation, no softmax. Ours takes raw pixels, uint8 NHWC for ONNX and float32 NHWC for
TFLite, and gives probabilities. Weights are random, which no engine's speed depends on. The two
files of a format take turns in one process on one thread, so that a drifting machine hits both, and
each goes first in every second round, so that none has the better place. The ratio is that of the
medians; a file against a copy of itself gave 0.97 to 1.02, so that is what one figure is good for.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from mobilecv.captures import TorchProgram
from mobilecv.sources.architectures import Architecture
from mobilecv.targets import TARGETS, Job
from mobilecv_runtime.onnx_session import open_session
from mobilecv_runtime.spec import PRESETS, Contract, Head, ImageInput, Labels

SIZE, CLASSES = 224, 1000
NETWORKS = (
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "mobilenet_v2",
    "resnet18",
    "resnet50",
    "efficientnet_b0",
    "shufflenet_v2_x1_0",
    "squeezenet1_1",
)
Run = Callable[[], object]


def main() -> None:
    """Print milliseconds and ratios per network and format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--formats", default="tflite,onnx")
    parser.add_argument("--rounds", type=int, default=300)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| network | format | direct ms | ours ms | ratio |\n|---|---|--:|--:|--:|")
    for name in options.networks:
        module = build(name)
        for kind in options.formats.split(","):
            with tempfile.TemporaryDirectory() as folder:
                direct, ours = FORMATS[kind](module, Path(folder))
                first, second = in_turns(direct, ours, options.rounds)
            print(
                f"| {name} | {kind} | {first:.2f} | {second:.2f} | {second / first:.3f} |",
                flush=True,
            )


def build(name: str) -> torch.nn.Module:
    """A torchvision network, or with `timm:` one of timm's."""
    place = "" if ":" in name else "torchvision.models:"
    return Architecture.parse(place + name).build({}, Path()).eval()


def onnx_pair(module: torch.nn.Module, folder: Path) -> tuple[Run, Run]:
    """ONNX Runtime on torch.onnx's own file, and on ours."""
    path = folder / "direct.onnx"
    sample = torch.zeros(2, 3, SIZE, SIZE)
    torch.onnx.export(
        module,
        (sample,),
        path,
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        external_data=False,
        verbose=False,
    )
    direct = open_session(str(path), threads=1)
    ours = open_session(str(converted(module, "onnx", folder)), threads=1)
    values = {direct.get_inputs()[0].name: np.random.rand(1, 3, SIZE, SIZE).astype(np.float32)}
    image = {"image": np.random.randint(0, 256, (1, SIZE, SIZE, 3), np.uint8)}
    return lambda: direct.run(None, values), lambda: ours.run(None, image)


def tflite_pair(module: torch.nn.Module, folder: Path) -> tuple[Run, Run]:
    """LiteRT on litert-torch's own file, and on ours."""
    import litert_torch

    path = folder / "direct.tflite"
    litert_torch.convert(module, (torch.zeros(1, 3, SIZE, SIZE),)).export(str(path))
    return interpreter(path), interpreter(converted(module, "tflite", folder))


def interpreter(path: Path) -> Run:
    """A LiteRT interpreter with its input set."""
    from ai_edge_litert.interpreter import Interpreter

    engine = Interpreter(model_path=str(path), num_threads=1)
    engine.allocate_tensors()
    (image,) = engine.get_input_details()
    engine.set_tensor(image["index"], np.random.rand(*image["shape"]).astype(np.float32))
    return engine.invoke


def converted(module: torch.nn.Module, target: str, folder: Path) -> Path:
    """Our artifact of a network."""
    contract = Contract(
        image=ImageInput(height=SIZE, width=SIZE, channels=3),
        preprocessing=PRESETS["torch"],
        head=Head(kind="logits"),
        labels=Labels.numbered(CLASSES),
    )
    capture = TorchProgram.write(module, contract.image.shape, folder / "net.pt2")
    output = folder / TARGETS[target].file_name("ours")
    TARGETS[target].convert(
        Job(
            name="net",
            contract=contract,
            capture=capture,
            base=None,
            calibration=None,
            output=output,
        )
    )
    return output


def in_turns(first: Run, second: Run, rounds: int) -> tuple[float, float]:
    """The medians of both in milliseconds."""
    times: dict[Run, list[float]] = {first: [], second: []}
    for number in range(rounds):
        for run in (first, second) if number % 2 else (second, first):
            started = time.perf_counter()
            run()
            times[run].append(1e3 * (time.perf_counter() - started))
    return statistics.median(times[first]), statistics.median(times[second])


FORMATS = {"tflite": tflite_pair, "onnx": onnx_pair}

if __name__ == "__main__":
    main()
