"""The model collections that a bundle may name without the user's leave: torchvision and timm.

Their constructors run nothing but the installed package, as long as no argument makes them fetch
or open a file; such arguments are refused.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from collections.abc import Mapping
from typing import Any, Final

from mobilecv.sources.base import SuggestedInput
from mobilecv_runtime.errors import MissingDependencyError, UsageError, guest
from mobilecv_runtime.spec import Resample

TORCHVISION: Final = "torchvision.models"
TIMM: Final = "timm"
ZOOS: Final = (TORCHVISION, TIMM)
FRAMEWORK: Final = "pytorch"

_FETCHING: Final = frozenset(
    {
        "weights", "weights_backbone", "pretrained", "pretrained_backbone", "progress",
        "pretrained_cfg", "pretrained_cfg_overlay", "pretrained_strict", "checkpoint_path",
        "cache_dir",
    }
)  # fmt: skip
_TIMM_NAME: Final = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)?")
_DECLARED: Final[list[Any]] = []
"""Kept, since declarations go with the object that made them."""
_RESAMPLES: Final[Mapping[str, Resample]] = {
    "bilinear": "bilinear", "bicubic": "bicubic", "nearest": "nearest"
}  # fmt: skip


def check_arguments(place: str, arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that would fetch or open a file.

    Raises:
        UsageError: If there is one.
    """
    refused = sorted(_FETCHING & arguments.keys())
    if refused:
        raise UsageError(
            f"--architecture-args: {place} would fetch weights for {refused[0]!r}; leave it out, "
            "the weights come from the file"
        )


def build(place: str, name: str, arguments: Mapping[str, Any]) -> Any:
    """Make a network of random weights.

    Raises:
        UsageError: If the collection has no such network.
        MissingDependencyError: If the collection is not installed.
    """
    check_arguments(place, arguments)
    module = _installed(place)
    _check_name(place, module, name)
    if place == TIMM:
        return module.create_model(name, pretrained=False, **arguments)
    # GoogLeNet and Inception spend seconds on random weights that are overwritten.
    quick = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return module.get_model(name, weights=None, **{**quick, **arguments})


def suggestion(place: str, name: str) -> SuggestedInput | None:
    """What the collection says about the images its own weights were trained on."""
    module = _installed(place)
    return _of_timm(module, name) if place == TIMM else _of_torchvision(module, name)


def version(place: str) -> dict[str, str]:
    """The collection's distribution and version."""
    distribution = place.partition(".")[0]
    return {distribution: importlib.metadata.version(distribution)}


def _installed(zoo: str) -> Any:
    distribution = zoo.partition(".")[0]
    try:
        return importlib.import_module(zoo)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != distribution:
            raise
        raise MissingDependencyError(
            f"{distribution} is not installed; install it with: pip install {distribution}"
        ) from error
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise MissingDependencyError(
                f"{distribution} is there, but fails to start ({error}); install the version that "
                "was built for this torch, see https://pytorch.org/get-started/locally"
            ) from error
    _declare_detection_operations()
    return importlib.import_module(zoo)


def _declare_detection_operations() -> None:
    """Declare the operations of torchvision that no classifier uses.

    Where its own library was built for another torch, as PyPI's is for a torch of the CPU only,
    they do not exist, and torchvision 0.28 and timm, which imports it, fail to start with "operator
    torchvision::nms does not exist".
    """
    torch = guest("torch", extra="torch")
    library = torch.library.Library("torchvision", "FRAGMENT")
    _DECLARED.append(library)
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def _check_name(zoo: str, module: Any, name: str) -> None:
    known = (
        bool(_TIMM_NAME.fullmatch(name)) and module.is_model(name)
        if zoo == TIMM
        else name in module.list_models(module)
    )
    if not known:
        raise UsageError(
            f"--architecture {zoo}:{name}: {zoo} has no classifier of that name; look at "
            f"{zoo}.list_models()"
        )


def suggestion_of_module(module: Any) -> SuggestedInput | None:
    """What a network of timm's carries with it, in memory or pickled."""
    config = getattr(module, "pretrained_cfg", None)
    known = isinstance(config, Mapping) and {"input_size", "mean", "std"} <= config.keys()
    return _of_timm_config(config) if known and config else None


def _of_timm(timm: Any, name: str) -> SuggestedInput | None:
    config = timm.get_pretrained_cfg(name)
    return _of_timm_config(vars(config)) if config else None


def _of_timm_config(config: Mapping[str, Any]) -> SuggestedInput:
    """See `timm.data.resolve_data_config` and `timm.data.transforms_factory`."""
    _, height, width = config["input_size"]
    central = config.get("crop_mode", "center") == "center"
    return SuggestedInput(
        origin=f"timm's configuration of {config.get('architecture', 'the network')}",
        size=(height, width),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        resample=_RESAMPLES.get(config.get("interpolation", "")),
        crop_fraction=float(config.get("crop_pct", 1)) if central else None,
    )


def _of_torchvision(models: Any, name: str) -> SuggestedInput | None:
    """The transforms of the first published weights, `torchvision.transforms._presets`.

    They resize the shorter side and crop the centre, so the cropped share is crop / resize.
    """
    published = list(models.get_model_weights(name))
    if not published:
        return None
    transforms = published[0].transforms()
    (crop,), (resize,) = transforms.crop_size, transforms.resize_size
    return SuggestedInput(
        origin=f"torchvision's {published[0]}",
        size=(crop, crop),
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        resample=_RESAMPLES.get(transforms.interpolation.value),
        crop_fraction=min(1.0, crop / resize),
    )
