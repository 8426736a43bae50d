"""The networks of the zoo; to add one, add its row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from mobilecv_runtime.spec import Labels

Framework: TypeAlias = Literal["keras", "torch"]

LABELS: Final = Labels(tuple(f"class {number}" for number in range(1000)))


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

    @property
    def id(self) -> str:
        """Names the row on the command line and in file names."""
        return f"{self.framework}-{self.name}"


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
