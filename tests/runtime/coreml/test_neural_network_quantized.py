"""Networks that coremltools quantized, against what coremltools itself makes of them again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neural_network_layers import run_bytes, values, weights

KERNEL = {"kernelSize": [2, 2], "nGroups": 2, "valid": {}, "hasBias": True}
LAYERS: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "convolution": (
        "convolution",
        KERNEL
        | {"outputChannels": 4, "kernelChannels": 3}
        | {"weights": weights(values(4, 3, 2, 2)), "bias": weights(values(4))},
        (1, 6, 5, 5),
    ),
    "deconvolution": (
        "convolution",
        KERNEL
        | {"outputChannels": 6, "kernelChannels": 4, "isDeconvolution": True}
        | {"weights": weights(values(4, 3, 2, 2)), "bias": weights(values(6))},
        (1, 4, 3, 3),
    ),
    "innerProduct": (
        "innerProduct",
        {"inputChannels": 5, "outputChannels": 3, "weights": weights(values(3, 5))},
        (2, 5),
    ),
    "batchedMatmul": (
        "batchedMatmul",
        {
            "weightMatrixFirstDimension": 5,
            "weightMatrixSecondDimension": 3,
            "weights": weights(values(15)),
        },
        (2, 5),
    ),
    "scale": ("scale", {"shapeScale": [3], "scale": weights(values(3))}, (1, 3, 2, 2)),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("bits", "mode"), [(8, "linear"), (3, "linear"), (5, "linear_lut")])
def test_quantized_weights_mean_what_their_maker_says(name: str, bits: int, mode: str) -> None:
    from coremltools import models
    from coremltools.models.neural_network import quantization_utils
    from coremltools.proto.NeuralNetwork_pb2 import NeuralNetwork

    kind, parameters, shape = LAYERS[name]
    network = NeuralNetwork(
        layers=[{"name": "the_layer", "input": ["x0"], "output": ["y0"], kind: parameters}]
    )
    modes = {
        "linear": models._QUANTIZATION_MODE_LINEAR_QUANTIZATION,
        "linear_lut": models._QUANTIZATION_MODE_LOOKUP_TABLE_LINEAR,
    }
    quantization_utils._quantize_nn_spec(network, bits, modes[mode])
    quantized = network.layers[0].SerializeToString()
    quantization_utils._dequantize_nn_spec(network)
    plain = network.layers[0].SerializeToString()
    assert quantized != plain
    x = values(*shape, seed=3)
    np.testing.assert_allclose(run_bytes(quantized, x), run_bytes(plain, x), atol=1e-5)
