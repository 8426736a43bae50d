"""The networks of the comparison, all but one trained; to add one, add its row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from benchmarks.int8 import coral
from benchmarks.zoo.networks import NetworkMaker
from benchmarks.zoo.rows import Row
from mobilecv.sources.loading import LoadOptions

PhotoSetName: TypeAlias = Literal["cifar10", "imagenet"]

ROOT: Final = Path(__file__).parents[2]
_TINY: Final = "mlcommons+tiny/benchmark/training/image_classification/trained_models"
_CORAL: Final = "google-coral+test_data"


@dataclass(frozen=True, kw_only=True)
class Bars:
    """What an int8 file should reach."""

    drop: float | None
    """Points of top-1 that it may lie below the float source, in percent; None for a source that
    was never trained."""
    agreement: float = 0.97
    """The least share of photos with the source's top-1."""
    size: float | None = None
    """The largest size of the `.tflite`, as a share of its float twin's. Nothing is asked of small
    networks: what does not shrink, scales and names, is more of them."""
    speed: float | None = None
    """How many times faster than its float twin the `.tflite` should be; None if nothing is asked
    of it."""
    as_authors: bool = False
    """Whether it should name as many photos right as the authors' own integer file. Not asked where
    the float source is made of that very file, which saw its own rounding in training."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network that others have trained."""

    name: str
    title: str
    file: str
    """What it is made of, relative to the folder of models and photos."""
    photos: PhotoSetName
    bars: Bars
    options: tuple[str, ...]
    """What `mobilecv export` must be told besides targets, labels and photos."""
    loading: LoadOptions = field(default_factory=LoadOptions)
    """The same as options of the library, as far as loading is concerned."""
    build: Callable[[Path, Path], None] | None = None
    """Writes a Keras model (second path) from the file (first path); None if the file itself is the
    source."""
    authors: str | None = None
    """The authors' own integer file, relative to the folder of models and photos."""


_CIFAR_ARCHITECTURE: Final = f"{ROOT / 'tests' / 'resnet_cifar.py'}:resnet20"
_MOBILENET_OPTIONS: Final = (
    "--scale", "0.0078125", "--bias", "-1", "--crop-fraction", "0.875",
)  # fmt: skip


def _mobilenet(
    name: str,
    title: str,
    file: str,
    *,
    bars: Bars,
    build: Callable[[Path, Path], None] = coral.write_keras,
) -> Network:
    return Network(
        name=name,
        title=title,
        file=f"{_CORAL}/{file}",
        photos="imagenet",
        bars=bars,
        options=_MOBILENET_OPTIONS,
        build=build,
        authors=f"{_CORAL}/{file}",
    )


def _write_resnet50(index: Path, output: Path) -> None:
    """Build a ResNet50 with random weights, conditioned as in the zoo on the photos of an index."""
    row = Row(
        name="ResNet50",
        framework="keras",
        family="resnet",
        constructor="keras.applications:ResNet50",
        arguments={"weights": None, "classes": 1001},
        classes=1001,
    )
    NetworkMaker(row, index.parent).write(output.parent).replace(output)


_NETWORKS: Final = (
    Network(
        name="resnet8",
        title="ResNet8 of MLPerf Tiny, CIFAR-10",
        file=f"{_TINY}/pretrainedResnet.h5",
        photos="cifar10",
        bars=Bars(drop=0.5, as_authors=True),
        options=("--preset", "raw"),
        authors=f"{_TINY}/pretrainedResnet_quant.tflite",
    ),
    Network(
        name="resnet20",
        title="ResNet20 (option A, PyTorch), CIFAR-10",
        file="akamaster+pytorch_resnet_cifar10/resnet20-12fca82f.th",
        photos="cifar10",
        bars=Bars(drop=0.5),
        options=(
            "--architecture", _CIFAR_ARCHITECTURE, "--preset", "torch", "--size", "32",
        ),
        loading=LoadOptions(architecture=_CIFAR_ARCHITECTURE),
    ),
    _mobilenet(
        "mobilenet_v2",
        "MobileNetV2 1.0 224",
        "mobilenet_v2_1.0_224_quant.tflite",
        bars=Bars(drop=1.0, speed=1.5, size=0.27),
    ),
    _mobilenet(
        "mobilenet_v1_0.25",
        "MobileNetV1 0.25 128",
        "mobilenet_v1_0.25_128_quant.tflite",
        bars=Bars(drop=1.0),
    ),
    _mobilenet(
        "mobilenet_v1_0.5",
        "MobileNetV1 0.5 160",
        "mobilenet_v1_0.5_160_quant.tflite",
        bars=Bars(drop=1.0),
    ),
    _mobilenet(
        "mobilenet_v2_badly_scaled",
        "MobileNetV2 1.0 224, badly scaled",
        "mobilenet_v2_1.0_224_quant.tflite",
        bars=Bars(drop=1.0, speed=1.5, size=0.27),
        build=coral.write_badly_scaled_keras,
    ),
    Network(
        name="resnet50",
        title="ResNet50 224, random weights",
        file="imagenet-photos/index.tsv",
        photos="imagenet",
        bars=Bars(drop=None, speed=1.5, size=0.27),
        options=("--preset", "tf"),
        build=_write_resnet50,
    ),
)  # fmt: skip

NETWORKS: Final[Mapping[str, Network]] = {each.name: each for each in _NETWORKS}
