from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mobilecv_runtime.errors import BundleError
from mobilecv_runtime.inspection import inspect
from tests_shared import Cli

LABELS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


@pytest.mark.parametrize(
    ("file", "input_type", "operation", "data_type"),
    [
        ("digits.mlmodel", "image 32x32 RGB", "convolution", None),
        ("digits.mlpackage", "image 32x32 RGB", "conv", "float16"),
        ("digits-int8.mlpackage", "image 32x32 RGB", "constexpr_affine_dequantize", "float16"),
        ("digits.tflite", "float32 1x32x32x3", "DEPTHWISE_CONV_2D", "float32"),
        ("digits-fp16.tflite", "float32 1x32x32x3", "DEPTHWISE_CONV_2D", "float16"),
        ("digits-dynamic.tflite", "float32 1x32x32x3", "DEPTHWISE_CONV_2D", "int8"),
        ("digits-int8.tflite", "uint8 1x32x32x3, scale 1, zero point 0", "CONV_2D", "int8"),
        ("digits.onnx", "uint8", "Conv", "float"),
        ("digits-fp16.onnx", "uint8", "Conv", "float16"),
        ("digits-int8.onnx", "uint8", "DequantizeLinear", "uint8"),
    ],
)
def test_every_artifact_tells_what_it_holds(
    file: str, input_type: str, operation: str, data_type: str | None, exported: Path
) -> None:
    found = inspect(exported / file)
    assert [tensor.name for tensor in found.inputs] == ["image"]
    assert found.inputs[0].type.startswith(input_type)
    assert list(found.labels or ()) == LABELS
    assert found.contract is not None
    assert found.contract["image"]["height"] == 32
    assert found.operations[operation] >= 3
    assert data_type is None or found.data_types[data_type] > 0
    assert found.bytes > 1000


def test_the_coreml_neural_network_scales_the_image_itself(exported: Path) -> None:
    scaler = inspect(exported / "digits.mlmodel").metadata["scaler"]
    assert scaler.startswith("channelScale 0.00784314")
    assert scaler.count("Bias -1") == 3


@pytest.mark.parametrize("file", ["digits.mlmodel", "digits.mlpackage", "digits-int8.mlpackage"])
def test_coreml_metadata_is_where_xcode_looks(file: str, exported: Path) -> None:
    found = inspect(exported / file)
    assert found.metadata["com.apple.coreml.model.preview.type"] == "imageClassifier"
    assert found.metadata["shortDescription"].startswith("digits: image classifier")
    assert {tensor.name: tensor.type for tensor in found.outputs} == {
        "classLabel": "string",
        "probabilities": "dictionary",
    }


def test_a_layer_that_nobody_knows_leaves_the_rest_uncounted(
    exported: Path, tmp_path: Path, cli: Cli
) -> None:
    import coremltools as ct

    path = tmp_path / "own.mlmodel"
    spec = ct.utils.load_spec(str(exported / "digits.mlmodel"))
    spec.neuralNetworkClassifier.layers[-1].custom.className = "Mine"
    path.write_bytes(spec.SerializeToString())

    found = inspect(path)
    assert found.census is None
    assert found.not_counted is not None
    assert "custom" in found.not_counted
    assert f"uncounted  {found.not_counted}" in cli("inspect", path).stdout


@pytest.mark.parametrize("suffix", [".tflite", ".onnx", ".mlmodel"])
def test_nonsense_and_truncated_files_are_refused(
    suffix: str, exported: Path, tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    whole = (exported / f"digits{suffix}").read_bytes()
    for data in (b"", b"nonsense" * 100, whole[: len(whole) // 3]):
        path.write_bytes(data)
        with pytest.raises(BundleError, match=f"a{suffix}"):
            inspect(path)


def test_inspecting_coreml_starts_no_framework(exported: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from mobilecv_runtime.inspection import inspect\n"
        "inspect(Path(sys.argv[1]) / 'digits-int8.mlpackage')\n"
        "print(sorted({'tensorflow', 'coremltools', 'onnx', 'onnxruntime', 'google.protobuf',"
        " 'ai_edge_litert'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, exported], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
