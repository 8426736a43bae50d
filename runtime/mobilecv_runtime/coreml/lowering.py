"""What a Core ML model is lowered to, and how what is not understood is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from mobilecv_runtime.coreml.protobuf import Message
from mobilecv_runtime.errors import BundleError

PIXELS: Final = "pixels"
SCORES: Final = "scores"

Arithmetic: TypeAlias = Literal["stored", "device-estimate"]
"""`stored`: float32 arithmetic on the weights as they are stored. `device-estimate`: every value
that the model types as float16 is rounded to float16, which shows overflow and NaN as a device
would; it does not model a device's order of accumulation."""


class UnsupportedError(BundleError):
    """Something in a Core ML file that mobilecv does not understand, and so refuses to ignore."""


@dataclass(frozen=True, kw_only=True)
class Lowered:
    """A Core ML classifier as an ONNX model."""

    onnx: bytes
    """Takes `pixels`, (1, height, width, channels), uint8, RGB or gray, raw 0..255; gives `scores`,
    (1, labels), float32."""
    labels: tuple[str, ...]
    """In the order of the scores."""


def refuse_unread(message: Message, where: str) -> None:
    """Refuse a message with a field that nobody has looked at.

    Raises:
        UnsupportedError: Naming the place and the fields.
    """
    unread = message.unread()
    if unread:
        raise UnsupportedError(
            f"{where}: mobilecv does not understand its field {', '.join(unread)}, and will not "
            "guess; please report it with the tool that wrote the file"
        )
