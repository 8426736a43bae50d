"""Int8 files that plain quantisation breaks, and what the rescue makes of them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import jsonschema
import numpy as np
import pytest

import mobilecv_runtime
from digits_images import draw_digits
from mobilecv.quantisation.findings import Findings
from mobilecv.quantisation.integer_share import check_integer_share
from mobilecv.quantisation.network_ranges import network_ranges
from mobilecv.quantisation.networks.interface import FloatNetwork, Kind, Layer, Weights
from mobilecv.quantisation.networks.onnx import OnnxNetwork
from mobilecv.quantisation.networks.tflite import TfliteNetwork
from mobilecv.quantisation.plain import plain_int8
from mobilecv.quantisation.ranges import RANGE_RULES, Observed
from mobilecv.quantisation.rescue.candidate import Context
from mobilecv.quantisation.rescue.channel_peaks import ChannelPeaks
from mobilecv.quantisation.rescue.equalisation import equalised, groups
from mobilecv.quantisation.rescue.float_layers import LARGEST_FLOAT_SHARE
from mobilecv.quantisation.rescue.ladder import (
    FEWEST_PHOTOS,
    FloatFile,
    Made,
    quantised,
    rescue,
)
from mobilecv.quantisation.rescue.measuring import divergence, scores_of
from mobilecv.quantisation.tflite_graph import EditableTflite
from mobilecv.targets.tflite_metadata import without_files
from mobilecv_runtime.errors import ConversionError
from mobilecv_runtime.spec import FloatArray, UInt8Array
from mobilecv_runtime.tflite_layers import tflite_census
from tests_shared import BESIDE_KERAS, Cli, run_script

# LiteRT says so whenever tensors are looked into, which is what measuring ranges is.
pytestmark = pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors:UserWarning")

FIXED_BY: Final = {
    "badly-scaled": "channels equalised",
    "outlier": "channels equalised",
    "offset": "in float",
    "hard-swish": "in float",
    "swish": "in float",
}
CALIBRATION: Final = draw_digits("train", seed=7)[0][:200]
TEST: Final = draw_digits("test", seed=8)[0]
GOLDEN: Final = TEST[:16]


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models of `make_fragile_models.py`."""
    folder = tmp_path_factory.mktemp("fragile")
    script = Path(__file__).with_name("make_fragile_models.py")
    run_script(script, folder, without=BESIDE_KERAS)
    return folder


def tflite(folder: Path, name: str) -> tuple[TfliteNetwork, bytes]:
    model = without_files((folder / f"{name}.tflite").read_bytes())
    network = TfliteNetwork(model)
    return network, plain_int8(network, CALIBRATION).model


def onnx_(folder: Path, name: str) -> tuple[OnnxNetwork, bytes]:
    network = OnnxNetwork.of(folder / f"{name}.onnx")
    return network, plain_int8(network, CALIBRATION).model


FORMATS: Final = {"tflite": tflite, "onnx": onnx_}


def twin(network: FloatNetwork, folder: Path) -> FloatFile:
    path = folder / f"twin{network.suffix}"
    path.write_bytes(network.to_bytes())
    return FloatFile(path=path)


def agreement(network: FloatNetwork, model: bytes) -> float:
    """The share of test photos with the float network's top-1 label, near-ties not forgiven."""
    best = [
        scores_of(file, network.suffix, TEST).scores.argmax(axis=1)
        for file in (network.to_bytes(), model)
    ]
    return float((best[0] == best[1]).mean())


@pytest.mark.parametrize(
    ("format_", "name"),
    [
        *(("tflite", name) for name in FIXED_BY),
        *(("onnx", name) for name in ("badly-scaled", "hard-swish", "swish")),
    ],
)
def test_what_plain_int8_breaks_is_rescued(
    format_: str, name: str, fragile: Path, tmp_path: Path
) -> None:
    network, plain = FORMATS[format_](fragile, name)
    assert agreement(network, plain) < 0.9
    made = quantised(network, twin(network, tmp_path), CALIBRATION, GOLDEN)
    record = made.findings.rescue
    assert record is not None
    assert record.kept.agrees, record.summary
    assert FIXED_BY[name] in record.kept.words
    assert record.kept is record.trials[-1]  # Nothing larger was tried.
    assert agreement(network, made.model) >= 0.97
    assert_little_is_in_float(network, made)


def assert_little_is_in_float(network: FloatNetwork, made: Made) -> None:
    assert made.findings.rescue is not None
    work = {layer.name: layer.multiply_adds for layer in network.layers}
    in_float = sum(work[name] for name in made.findings.rescue.kept.in_float)
    assert in_float <= LARGEST_FLOAT_SHARE * sum(work.values())
    if network.suffix == ".tflite":
        share = tflite_census(EditableTflite.of(made.model)).integer_share
        assert share == pytest.approx(1 - in_float / sum(work.values()))


@pytest.mark.parametrize("format_", FORMATS)
def test_what_int8_cannot_hold_is_said(format_: str, fragile: Path, tmp_path: Path) -> None:
    network, _ = FORMATS[format_](fragile, "hopeless")
    answers = scores_of(network.to_bytes(), network.suffix, CALIBRATION).scores
    _, record = rescue(network, twin(network, tmp_path), CALIBRATION, GOLDEN, answers)
    assert "int8 cannot hold this network: agreement" in record.summary
    assert record.summary.endswith(f"use {format_}-fp16")
    assert record.to_json()["outcome"] == "not rescued"
    assert {trial.step for trial in record.trials} >= {"plain", "ranges", "layers in float"}
    nearest = min(trial.divergence for trial in record.trials)
    assert record.kept.divergence <= nearest / 0.9  # What gains less than a tenth is left.


def test_a_file_that_agrees_stays_as_it_is(fragile: Path, tmp_path: Path) -> None:
    network, _ = tflite(fragile, "badly-scaled")
    mended = equalised(network, ChannelPeaks.on(network, CALIBRATION))
    assert mended is not None
    made = quantised(mended, twin(network, tmp_path), CALIBRATION, GOLDEN)
    plain = plain_int8(mended, CALIBRATION)
    findings = Findings(coverage=plain.coverage, rescue=None)
    assert made == Made(model=plain.model, findings=findings)


@pytest.mark.parametrize(
    ("photos", "golden"), [(CALIBRATION, None), (CALIBRATION[: FEWEST_PHOTOS - 1], GOLDEN)]
)
def test_without_leave_or_photos_nothing_is_rescued(
    photos: UInt8Array, golden: UInt8Array | None, fragile: Path, tmp_path: Path
) -> None:
    network, _ = tflite(fragile, "badly-scaled")
    assert quantised(network, twin(network, tmp_path), photos, golden).findings.rescue is None


@pytest.mark.parametrize("format_", FORMATS)
def test_equalisation_keeps_the_float_answers(format_: str, fragile: Path) -> None:
    network, _ = FORMATS[format_](fragile, "badly-scaled")
    before = ChannelPeaks.on(network, CALIBRATION[:20])
    assert len(groups(network)) == 6
    changed = equalised(network, before)
    assert changed is not None
    scores = [
        scores_of(each.to_bytes(), each.suffix, TEST[:50]).scores for each in (network, changed)
    ]
    np.testing.assert_array_equal(*scores)
    after = ChannelPeaks.on(changed, CALIBRATION[:20])
    uneven = [
        tensor
        for group in groups(network)
        for tensor in group.tensors & before.found.keys()
        if spread(before, tensor) > 300
    ]
    assert len(uneven) >= 5
    for tensor in uneven:
        assert spread(after, tensor) < 0.1 * spread(before, tensor)


def spread(channels: ChannelPeaks, tensor: str) -> float:
    peaks = channels.found[tensor]
    return float(peaks.max() / peaks[peaks > 0].min())


class Outline:
    """A network of layers only."""

    suffix, fallback = ".none", "none"

    def __init__(self, layers: Sequence[Layer], outputs: Collection[str]) -> None:
        self.layers, self.outputs = layers, outputs

    def constant(self, slot: tuple[int, int]) -> FloatArray:  # noqa: ARG002
        return np.ones((4, 4), np.float32)

    def to_bytes(self) -> bytes:
        raise NotImplementedError

    def with_constants(self, changed: Mapping[tuple[int, int], FloatArray]) -> Outline:
        raise NotImplementedError

    def observe(self, photos: UInt8Array) -> dict[str, Observed]:
        raise NotImplementedError

    def quantised(
        self, ranges: Mapping[str, tuple[float, float]], in_float: Collection[str]
    ) -> bytes:
        raise NotImplementedError


def dense(name: str, source: str, *, is_linear: bool = True) -> Layer:
    weights = Weights(slot=(0, 1), output_axis=0, input_axis=1, bias=None, order=(0, 1))
    return Layer(name=name, kind="weighted", inputs=(source,), weights=weights, is_linear=is_linear)


def plain_layer(name: str, kind: Kind, *sources: str) -> Layer:
    return Layer(name=name, kind=kind, inputs=sources)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([dense("a", "image"), dense("b", "a")], [{"a"}]),
        ([dense("a", "image"), plain_layer("r", "scalable", "a"), dense("b", "r")], [{"a", "r"}]),
        # A ReLU6 cuts at 6 whatever the scale.
        ([dense("a", "image", is_linear=False), dense("b", "a")], []),
        # A hard-swish is not scalable.
        ([dense("a", "image"), plain_layer("h", "other", "a"), dense("b", "h")], []),
        # A residual sum ties all its makers together.
        (
            [
                dense("a", "image"),
                dense("c", "a"),
                plain_layer("s", "scalable", "a", "c"),
                dense("b", "s"),
            ],
            [{"a", "c", "s"}],
        ),
        # What is read elsewhere too must keep its values.
        (
            [
                dense("a", "image"),
                dense("c", "a"),
                plain_layer("o", "other", "a"),
                plain_layer("b", "other", "c", "o"),
            ],
            [],
        ),
    ],
)
def test_only_what_scales_exactly_is_equalised(
    layers: list[Layer], expected: list[set[str]]
) -> None:
    assert [group.tensors for group in groups(Outline(layers, {"b"}))] == expected


@pytest.mark.parametrize("rule", RANGE_RULES)
def test_a_range_holds_zero_and_nearly_all_values(rule: str) -> None:
    values = np.random.default_rng(0).normal(5, 1, 5000).astype(np.float32)
    low, high = RANGE_RULES[rule](values, float(values.min()), float(values.max()))
    assert low == 0
    assert np.percentile(values, 99) < high <= values.max()
    assert RANGE_RULES[rule](np.zeros(9, np.float32), 0.0, 0.0) == (0.0, 1.0)


@pytest.mark.parametrize("rule", sorted(set(RANGE_RULES) - {"minima and maxima"}))
def test_a_rare_spike_is_clipped(rule: str) -> None:
    values = np.abs(np.random.default_rng(0).normal(0, 1, 400_000)).astype(np.float32)
    values[7] = 12
    low, high = RANGE_RULES[rule](values, 0.0, 12.0)
    assert low == 0
    assert 3 < high < 9


def test_what_the_answer_is_read_from_is_never_clipped() -> None:
    head = dataclasses.replace(plain_layer("p", "other", "flat"), is_head=True)
    body = [dense("a", "image"), dense("logits", "a"), plain_layer("flat", "moving", "logits")]
    values = np.append(np.random.default_rng(0).normal(size=20000), 40).astype(np.float32)
    observed = {
        name: Observed(name, [float(values.min())], [40.0], [values])
        for name in ("a", "logits", "flat", "p")
    }
    whole = (float(values.min()), 40.0)
    with_head = network_ranges(Outline([*body, head], {"p"}), "least squares", observed)
    assert with_head["logits"] == with_head["flat"] == whole
    assert with_head["a"][1] < 40
    without = network_ranges(Outline(body, {"flat"}), "least squares", observed)
    assert without["logits"] == without["flat"] == whole


def test_a_model_that_gives_nan_is_refused() -> None:
    with pytest.raises(ConversionError, match="NaN or infinity in hidden"):
        Observed("hidden").add(np.array([[1, np.nan]], np.float32), np.random.default_rng(0))


def test_the_share_of_integer_work_is_counted(fragile: Path) -> None:
    network, plain = tflite(fragile, "offset")
    work = [layer.multiply_adds for layer in network.layers if layer.multiply_adds]
    # 3x3 convolutions of 16x16, pointwise ones, and the ten scores; see `models/train_digits.py`.
    assert work == [
        256 * 16 * 27, 256 * 16 * 9, 256 * 16 * 32, 256 * 32 * 9, 256 * 32 * 32, 64 * 32 * 9,
        64 * 32 * 64, 64 * 10,
    ]  # fmt: skip
    assert tflite_census(EditableTflite.of(network.to_bytes())).integer_share == 0
    assert tflite_census(EditableTflite.of(plain)).integer_share == 1


def test_a_file_that_is_mostly_float_is_not_called_int8(fragile: Path) -> None:
    network, _ = tflite(fragile, "offset")
    heavy = max(network.layers, key=lambda layer: layer.multiply_adds)
    observed = Context(photos=CALIBRATION[:4], expected=TEST[:1]).observed(network)
    ranges = {name: (each.low, each.high + 1) for name, each in observed.items()}
    half = network.quantised(ranges, {heavy.name})
    with pytest.raises(ConversionError, match=r"only 6\d\.\d% of the multiply-adds"):
        check_integer_share(tflite_census(EditableTflite.of(half)), "tflite-fp16")


def test_divergence_is_zero_only_for_the_same_answers() -> None:
    same = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    assert divergence(same, same) == 0
    assert divergence(same, same[::-1]) > 0.5
    assert divergence(same, np.full((2, 2), np.nan, np.float32)) == float("inf")


def test_an_export_rescues_unless_told_not_to(
    cli: Cli, fragile: Path, digits_photos: Path, tmp_path: Path
) -> None:
    words = ("export", fragile / "badly-scaled.h5", "--to", "tflite-int8", "--preset", "tf",
             "--calibration", digits_photos / "calibration")  # fmt: skip
    assert cli(*words, "--no-rescue", "-o", "plain").returncode == 1
    done = cli(*words, "-o", "rescued", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = json.loads(done.stdout)["manifest"]
    schema = Path(mobilecv_runtime.__file__).parent / "schema" / "mobilecv-1.schema.json"
    jsonschema.validate(manifest, json.loads(schema.read_text()))
    (artifact,) = manifest["artifacts"]
    assert artifact["parity"]["outcome"] == "agrees"
    assert artifact["rescue"]["trials"][-1]["change"] == "channels equalised"
    assert mobilecv_runtime.Bundle.open(tmp_path / "rescued").manifest.to_json() == manifest
    plain = json.loads((tmp_path / "plain" / "mobilecv.json").read_text())
    assert "rescue" not in plain["artifacts"][0]


def test_an_export_that_int8_cannot_hold_fails(
    cli: Cli, fragile: Path, digits_photos: Path
) -> None:
    done = cli("export", fragile / "hopeless.h5", "--to", "tflite-int8", "--preset", "tf",
               "--calibration", digits_photos / "calibration", "-o", "made", "--json")  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    (artifact,) = json.loads(done.stdout)["manifest"]["artifacts"]
    assert artifact["parity"]["outcome"] == "differs"
    assert artifact["rescue"]["outcome"] == "not rescued"
    assert "int8 cannot hold this network" in " ".join(artifact["parity"]["reasons"])


@pytest.mark.parametrize(
    ("target", "instead"), [("mlpackage-int8", "mlpackage"), ("tflite-dynamic", "tflite")]
)
def test_where_there_is_no_rescue_the_report_names_the_way_out(
    target: str, instead: str, cli: Cli, fragile: Path
) -> None:
    done = cli("export", fragile / "badly-scaled.h5", "--to", target, "--preset", "tf",
               "-o", "made", "--json")  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    (artifact,) = json.loads(done.stdout)["manifest"]["artifacts"]
    assert artifact["parity"]["outcome"] == "differs"
    assert artifact["parity"]["reasons"][-1].endswith(f"; use {instead}")
