"""The networks of the zoo; to add one, add its row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from mobilecv_runtime.spec import ImageInput, Labels

Framework: TypeAlias = Literal["keras", "torch"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A network with random weights, as one of the frameworks builds it."""

    name: str
    framework: Framework
    family: str
    constructor: str
    """`package.module:function`."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    size: int = 224
    preset: str = "tf"
    """The preprocessing to export it with; `raw` for a network that rescales inside."""
    channels: int = 3
    classes: int = 1000
    """How many labels; 2 for one sigmoid unit."""

    @property
    def id(self) -> str:
        """Names the row on the command line and in file names."""
        return f"{self.framework}-{self.name}"

    @property
    def image(self) -> ImageInput:
        """What the network takes."""
        return ImageInput(height=self.size, width=self.size, channels=self.channels)

    @property
    def labels(self) -> Labels:
        """Names for its classes."""
        return Labels(tuple(f"class {number}" for number in range(self.classes)))


def _keras(name: str, family: str, *, size: int = 224, preset: str = "tf", **arguments: Any) -> Row:
    return Row(
        name=name,
        framework="keras",
        family=family,
        constructor=f"keras.applications:{name}",
        arguments={"weights": None, **arguments},
        size=size,
        preset=preset,
    )


def _mobilenet(alpha: float, size: int) -> Row:
    arguments = {"weights": None, "alpha": alpha, "input_shape": (size, size, 3)}
    return Row(
        name=f"MobileNet-{alpha:g}-{size}",
        framework="keras",
        family="mobilenet-sizes",
        constructor="keras.applications:MobileNet",
        arguments=arguments,
        size=size,
    )


def _classic(
    name: str,
    function: str,
    *,
    size: int,
    classes: int,
    preset: str = "unit",
    channels: int = 3,
    **arguments: Any,
) -> Row:
    return Row(
        name=name,
        framework="keras",
        family="classics",
        constructor=f"benchmarks.zoo.classics:{function}",
        arguments=arguments,
        size=size,
        preset=preset,
        channels=channels,
        classes=classes,
    )


def _torchvision(name: str, family: str, *, size: int = 224, **arguments: Any) -> Row:
    return Row(
        name=name,
        framework="torch",
        family=family,
        constructor=f"torchvision.models:{name}",
        arguments=arguments,
        size=size,
        preset="torch",
    )


_MOBILENET_V3: Final = {"input_shape": (224, 224, 3)}  # without it, Keras makes the size unknown

ROWS: Final = (
    _keras("VGG16", "vgg"),
    _keras("ResNet50", "resnet"),
    _keras("InceptionV3", "inception", size=299),
    _keras("Xception", "xception", size=299),
    _keras("MobileNet", "mobilenet"),
    _keras("MobileNetV2", "mobilenet"),
    _keras("MobileNetV3Small", "mobilenet", preset="raw", **_MOBILENET_V3),
    _keras("MobileNetV3Large", "mobilenet", preset="raw", **_MOBILENET_V3),
    _keras("DenseNet121", "densenet"),
    _keras("NASNetMobile", "nasnet"),
    _keras("EfficientNetB0", "efficientnet", preset="raw"),
    _keras("ConvNeXtTiny", "convnext", preset="raw"),
    _keras("VGG19", "vgg19"),
    _keras("InceptionResNetV2", "inception-resnet", size=299),
    _keras("DenseNet169", "densenet-large"),
    _keras("DenseNet201", "densenet-large"),
    _keras("NASNetLarge", "nasnet-large", size=331),
    _keras("EfficientNetV2B0", "efficientnet-v2", preset="raw"),
    *(_mobilenet(alpha, 224) for alpha in (0.75, 0.5, 0.25)),
    *(_mobilenet(1, size) for size in (192, 160, 128)),
    _classic("skin-lesions", "skin_lesions", size=299, classes=9, preset="tf"),
    _classic("digits-2conv", "digits_two_convolutions", size=28, classes=10, channels=1),
    _classic("digits-3conv", "digits_three_convolutions", size=28, classes=10, channels=1),
    _classic("digits-dense", "digits_dense", size=28, classes=10, channels=1),
    _classic("cats-dogs", "cats_and_dogs", size=150, classes=2, dropout=False),
    _classic("cats-dogs-dropout", "cats_and_dogs", size=150, classes=2, dropout=True),
    _classic("vgg-frozen", "vgg_transfer", size=150, classes=2, frozen_layers=19),
    _classic("vgg-partly-frozen", "vgg_transfer", size=150, classes=2, frozen_layers=15),
    _classic("eyes", "vgg_features", size=224, classes=2, outputs=1),
    _classic("climbing-gear", "vgg_features", size=224, classes=12, outputs=12),
    _classic("alexnet", "alexnet", size=227, classes=1000, preset="tf"),
    _classic("blocks-by-hand", "blocks_by_hand", size=96, classes=12),
    _torchvision("vgg16", "vgg"),
    _torchvision("resnet18", "resnet"),
    _torchvision("resnet50", "resnet"),
    _torchvision("inception_v3", "inception", size=299),
    _torchvision("mobilenet_v2", "mobilenet"),
    _torchvision("mobilenet_v3_small", "mobilenet"),
    _torchvision("mobilenet_v3_large", "mobilenet"),
    _torchvision("densenet121", "densenet"),
    _torchvision("efficientnet_b0", "efficientnet"),
    _torchvision("convnext_tiny", "convnext"),
    _torchvision("shufflenet_v2_x1_0", "shufflenet"),
    _torchvision("squeezenet1_1", "squeezenet"),
    _torchvision("regnet_y_400mf", "regnet"),
    _torchvision("swin_t", "swin"),
    Row(
        name="vit_tiny",
        framework="torch",
        family="vit",
        constructor="timm:vit_tiny_patch16_224",
        preset="torch",
    ),
)

FAMILIES: Final = tuple(sorted({row.family for row in ROWS}))

QUICK: Final = (
    "keras-digits-3conv",
    "keras-cats-dogs",
    "keras-blocks-by-hand",
    "keras-MobileNet-0.25-224",
    "torch-squeezenet1_1",
)
"""Ids of rows that go fast, one for every kind of head and source."""
