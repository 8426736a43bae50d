"""The networks of `keras.applications`, which a bundle may name without the user's leave.

Their constructors run nothing but the installed package, as long as no argument makes them fetch
or open a file; such arguments are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mobilecv.sources.base import SuggestedInput
from mobilecv.sources.keras.framework import keras_module
from mobilecv_runtime.errors import UsageError

PLACE: Final = "keras.applications"
FRAMEWORK: Final = "keras"


def check_arguments(place: str, arguments: Mapping[str, Any]) -> None:
    """Refuse `weights`, which would be fetched.

    Raises:
        UsageError: If they are stated and not None.
    """
    if arguments.get("weights") is not None:
        raise UsageError(
            f"--architecture-args: {place} would fetch weights for 'weights'; leave it out, the "
            "weights come from the file"
        )


def build(place: str, name: str, arguments: Mapping[str, Any]) -> Any:
    """Make a network of random weights; what is not said is as Keras has it.

    Raises:
        UsageError: If the collection has no such network.
    """
    check_arguments(place, arguments)
    collection = keras_module().applications
    # Its modules (`inception_v3`) are in small letters, its networks begin with a capital.
    known = [each for each in dir(collection) if each[0].isupper()]
    if name not in known:
        raise UsageError(
            f"--architecture {place}:{name}: {place} has no classifier of that name; it has "
            f"{', '.join(known)}"
        )
    return getattr(collection, name)(**{**arguments, "weights": None})


def suggestion(place: str, name: str) -> SuggestedInput | None:
    """None: the size stands in the network, and normalisations differ from user to user."""
    del place, name
    return None


def version(place: str) -> dict[str, str]:
    """Keras' own."""
    del place
    return {"keras": keras_module().__version__}
