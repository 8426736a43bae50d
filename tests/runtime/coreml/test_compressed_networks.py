"""Whole networks that coremltools compressed answer as the same networks decompressed by it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coremltools.optimize import coreml as cto

from runtime.coreml.mil_programs import ct
from runtime.coreml.torch_programs import (
    LABELS,
    answers,
    converted,
    interpreted,
    photos,
    saved,
    torch_scores,
)

SIZE = 12
PHOTOS = photos(SIZE)
Compress = Callable[[Any], Any]


def torch_network() -> torch.nn.Module:
    torch.manual_seed(3)
    layers = (
        torch.nn.Conv2d(3, 16, 3, stride=2, padding=1),
        torch.nn.ReLU6(),
        torch.nn.Conv2d(16, 16, 3, padding=1, groups=4),
        torch.nn.Hardswish(),
        torch.nn.Conv2d(16, 32, 1),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(32, len(LABELS)),
        torch.nn.Softmax(dim=1),
    )
    network = torch.nn.Sequential(*layers).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2)
    return network


@pytest.fixture(scope="module")
def network() -> Any:
    return converted(torch_network(), SIZE, ct.precision.FLOAT32, ct.target.iOS18)


def config(**options: Any) -> Any:
    kinds = {"nbits": cto.OpPalettizerConfig, "dtype": cto.OpLinearQuantizerConfig}
    kind = next((kinds[key] for key in kinds if key in options), cto.OpThresholdPrunerConfig)
    if "target_sparsity" in options:
        kind = cto.OpMagnitudePrunerConfig
    return cto.OptimizationConfig(global_config=kind(weight_threshold=0, **options))


def quantized(**options: Any) -> Compress:
    chosen = {"mode": "linear_symmetric", "dtype": "int8"} | options
    return lambda model: cto.linear_quantize_weights(model, config(**chosen))


def palettized(**options: Any) -> Compress:
    chosen = {"mode": "uniform"} | options
    return lambda model: cto.palettize_weights(model, config(**chosen))


def pruned(model: Any) -> Any:
    return cto.prune_weights(model, config(target_sparsity=0.6))


def pruned_and_quantized(model: Any) -> Any:
    chosen = config(mode="linear_symmetric", dtype="int8")
    return cto.linear_quantize_weights(pruned(model), chosen, joint_compression=True)


def pruned_and_palettized(model: Any) -> Any:
    return cto.palettize_weights(
        pruned(model), config(mode="uniform", nbits=4), joint_compression=True
    )


def palettized_and_quantized(model: Any) -> Any:
    chosen = config(mode="linear_symmetric", dtype="int8", granularity="per_tensor")
    return cto.linear_quantize_weights(palettized(nbits=4)(model), chosen, joint_compression=True)


FORMS: dict[str, Compress] = {
    "int8 per channel": quantized(),
    "int8 per tensor": quantized(granularity="per_tensor"),
    "int8 per block": quantized(granularity="per_block", block_size=2),
    "int8 with zero points": quantized(mode="linear"),
    "uint8": quantized(mode="linear", dtype="uint8"),
    "int4 per channel": quantized(dtype="int4"),
    "int4 per tensor": quantized(dtype="int4", granularity="per_tensor"),
    "int4 per block": quantized(dtype="int4", granularity="per_block", block_size=4),
    **{f"a table of {bits} bits": palettized(nbits=bits) for bits in (1, 2, 3, 4, 6, 8)},
    "a table for groups of channels": palettized(
        nbits=4, granularity="per_grouped_channel", group_size=4
    ),
    "sparse": pruned,
    "sparse and int8": pruned_and_quantized,
    "sparse and a table": pruned_and_palettized,
    "a table of int8": palettized_and_quantized,
}


def test_the_uncompressed_network_answers_as_torch(network: Any, tmp_path: Path) -> None:
    expected = torch_scores(torch_network().eval(), PHOTOS)
    np.testing.assert_allclose(answers(*saved(network, tmp_path), PHOTOS), expected, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::RuntimeWarning")
def test_a_compressed_network_answers_as_the_decompressed_one(
    form: str, network: Any, tmp_path: Path
) -> None:
    compressed = FORMS[form](network)
    files = saved(compressed, tmp_path / "compressed")
    plain = saved(cto.decompress_weights(compressed), tmp_path / "plain")
    function = files[0].mlProgram.functions["main"]
    operations = function.block_specializations[function.opset].operations
    assert any(operation.type.startswith("constexpr_") for operation in operations)
    found = answers(*files, PHOTOS)
    np.testing.assert_allclose(found, answers(*plain, PHOTOS), atol=1e-6)
    np.testing.assert_allclose(found, interpreted(*files, PHOTOS), atol=1e-6)
    original = answers(*saved(network, tmp_path / "original"), PHOTOS)
    assert np.abs(found - original).max() > 1e-5
