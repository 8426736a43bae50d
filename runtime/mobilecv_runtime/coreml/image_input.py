"""The image that a Core ML model takes, as its description states it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mobilecv_runtime.coreml.lowering import PIXELS, UnsupportedError, refuse_unread
from mobilecv_runtime.coreml.onnx_graph import OnnxGraph
from mobilecv_runtime.coreml.protobuf import Message
from mobilecv_runtime.coreml.schema import COLOR_SPACES

_EXECUTED_SPACES: Final = ("RGB", "BGR", "GRAY")
_LARGEST_SIDE: Final = 1 << 14


@dataclass(frozen=True, kw_only=True)
class ImageFeature:
    """An image input."""

    name: str
    height: int
    width: int
    color_space: str
    """`RGB`, `BGR`, `GRAY` or `GRAY_FLOAT16`; `unknown` for one that is none of them."""

    @property
    def channels(self) -> int:
        """3 for colour, 1 for gray."""
        return 1 if self.color_space.startswith("GRAY") else 3


def described_image(feature: Message) -> ImageFeature | None:
    """What a feature says about its image; None if it is something else.

    Source: `FeatureDescription` of Model.proto, `ImageFeatureType` of FeatureTypes.proto.
    """
    kind = feature.message("type")
    if not kind.has("imageType"):
        return None
    return _image(feature.text("name"), kind.message("imageType"))


def only_image(description: Message) -> ImageFeature:
    """The one image that a model takes, of which every field is understood.

    Args:
        description: The `ModelDescription`.

    Raises:
        UnsupportedError: If it takes something else, or an image that mobilecv cannot feed.
    """
    features = description.messages("input")
    if len(features) != 1 or not features[0].message("type").has("imageType"):
        raise UnsupportedError(
            f"inputs {', '.join(map(_words, features)) or 'none'}: expected one image; export with "
            "one image input (coremltools: inputs=[ImageType(...)])"
        )
    image = _understood(features[0])
    sides_fit = all(1 <= side <= _LARGEST_SIDE for side in (image.height, image.width))
    if image.color_space not in _EXECUTED_SPACES or not sides_fit:
        raise UnsupportedError(
            f"input {image.name!r}: an image of {image.height}x{image.width} and colour space "
            f"{image.color_space}; expected {', '.join(_EXECUTED_SPACES)} of a stated size"
        )
    return image


def image_values(graph: OnnxGraph, image: ImageFeature) -> str:
    """Declare the input `pixels`, and turn it into what Core ML hands to the network.

    Core ML converts an image to float channels first, in the order that its colour space names.

    Returns:
        The value (1, channels, height, width), float32, raw 0..255, not yet scaled.
    """
    pixels = graph.input(PIXELS, "uint8", (1, image.height, image.width, image.channels))
    values = graph.node("Transpose", [pixels], perm=[0, 3, 1, 2])
    values = graph.node("Cast", [values], to=1)
    if image.color_space == "BGR":
        return graph.node("Gather", [values, graph.integers([2, 1, 0])], axis=1)
    return values


def _image(name: str, image: Message) -> ImageFeature:
    return ImageFeature(
        name=name,
        height=image.integer("height"),
        width=image.integer("width"),
        color_space=COLOR_SPACES.get(image.integer("colorSpace"), "unknown"),
    )


def _understood(feature: Message) -> ImageFeature:
    kind = feature.message("type")
    message = kind.message("imageType")
    image = _image(feature.text("name"), message)
    for field in ("enumeratedSizes", "imageSizeRange"):
        message.data(field)  # Other sizes that it takes; it runs at its default one.
    feature.text("shortDescription")
    kind.integer("isOptional")  # Without its only image there is nothing to predict.
    for opened in (message, kind, feature):
        refuse_unread(opened, f"input {image.name!r}")
    return image


def _words(feature: Message) -> str:
    return f"{feature.text('name')!r} ({' '.join(feature.message('type').present())})"
