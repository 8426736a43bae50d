"""Networks without weights: the JSON and YAML configs that Keras writes."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from mobilecv.sources.keras.configs import StoredConfig
from mobilecv.sources.keras.file_code import check_code
from mobilecv.sources.keras.framework import keras_module
from mobilecv.sources.keras.whole_models import network_of, rewriting_note
from mobilecv.sources.loading import LoadOptions
from mobilecv_runtime.errors import MissingDependencyError, MobileCVError, SourceError


def network_of_config(
    path: Path, stored: StoredConfig, loading: LoadOptions
) -> tuple[Any, tuple[str, ...]]:
    """Build the network that a config of any age describes.

    Args:
        path: A `.json`, `.yaml` or `.yml` file.
        stored: What `read_network_config` read there.
        loading: What the user states.

    Returns:
        A `keras.Model` of random weights, and what had to be rewritten.

    Raises:
        SourceError: If it is damaged, no config, or holds code that is not allowed.
    """
    check_code(path, stored.config, loading)
    if stored.backend == "theano" and stored.major > 1:
        raise SourceError(
            f"{path}: describes a network of Theano, which turns kernels; save the whole model "
            "with model.save(...) and export that file"
        )
    try:
        model, rewritten = network_of(stored, loading)
    except MobileCVError as error:
        raise type(error)(f"{path}: {error}") from error
    # Keras raises whatever the layer at fault raises.
    except Exception as error:
        message = " ".join(str(error).split())[:300]
        raise SourceError(
            f"{path}: Keras {keras_module().__version__} cannot build this network: {message}"
        ) from error
    return model, rewriting_note(stored, rewritten)


def read_network_config(path: Path) -> StoredConfig:
    """Read a config.

    Raises:
        SourceError: If it is no JSON or YAML, describes no network, or names Python objects.
        MissingDependencyError: If it is YAML, and PyYAML is not installed.
    """
    try:
        text = path.read_text(encoding="utf-8")
        config = json.loads(text) if path.suffix.lower() == ".json" else _yaml(text, path)
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: cannot be read as a Keras config ({error})") from error
    if not isinstance(config, dict) or not {"class_name", "config"} <= config.keys():
        raise SourceError(
            f"{path}: no Keras config (it has no class_name and config); write it with "
            "model.to_json()"
        )
    # Keras 3 names the module of every class instead of its own version.
    unsaid = "3" if "module" in config else "1"
    return StoredConfig(
        config=config,
        keras_version=str(config.get("keras_version", unsaid)),
        backend=str(config.get("backend", "tensorflow")),
    )


def _yaml(text: str, path: Path) -> Any:
    """Parse YAML that holds nothing but data.

    `to_yaml` of Keras 1 and 2 wrote shapes as `!!python/tuple`, and on Python 2 names as
    `!!python/unicode`; these two are data. Every other Python tag would run code.
    """
    try:
        yaml: Any = importlib.import_module("yaml")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"{path}: PyYAML is not installed; install it with: pip install pyyaml, or write the "
            "config as JSON with model.to_json()"
        ) from error
    loader: Any = type("Loader", (yaml.SafeLoader,), {})
    loader.add_constructor("tag:yaml.org,2002:python/tuple", loader.construct_yaml_seq)
    loader.add_constructor("tag:yaml.org,2002:python/unicode", loader.construct_yaml_str)
    try:
        return yaml.load(text, loader)
    except yaml.constructor.ConstructorError as error:
        raise SourceError(
            f"{path}: its YAML would run code ({error.problem}); write the config as JSON with "
            "model.to_json()"
        ) from error
    except yaml.YAMLError as error:
        raise SourceError(f"{path}: no valid YAML ({' '.join(str(error).split())})") from error
