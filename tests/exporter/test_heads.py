"""Every head, from Keras and from PyTorch, in every format: converted, checked, and read again."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from head_networks import OUTPUTS, contract, images
from mobilecv.captures import Capture
from mobilecv.conversion import Converter
from mobilecv.lean_workers import lean
from mobilecv.sources.base import SourceDescription, SourceSession
from mobilecv.targets import TARGETS, Job
from mobilecv_runtime import Bundle, Classifier
from mobilecv_runtime.child import Child
from mobilecv_runtime.errors import SourceError, UsageError
from mobilecv_runtime.inspection import inspect
from mobilecv_runtime.runners import open_runner
from mobilecv_runtime.spec import Contract, FloatArray, Head, Labels
from mobilecv_runtime.verdicts import ScoredImages, artifact_verdict
from tests_shared import BESIDE_KERAS, BESIDE_TORCH, NEVER_USED, ROOT, Cli, run_script

FRAMEWORKS = ("keras", "pytorch")
BESIDE = {"keras": BESIDE_KERAS, "pytorch": BESIDE_TORCH}
UNUSED = {"coreml": NEVER_USED, "tflite": (), "onnx": NEVER_USED}
"""By format; litert-torch needs JAX."""
CONVERTED = [head for head in OUTPUTS if head not in ("softmax", "logits")]
"""Those two are in every target already in `test_export` and `test_torch_targets`."""
CHECKED = [
    "coreml", "mlpackage", "mlpackage-int8", "tflite", "tflite-fp16", "tflite-int8", "onnx",
    "onnx-fp16", "onnx-int8",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network with one head, and its own answers."""

    contract: Contract
    description: SourceDescription
    capture: Capture
    golden: ScoredImages
    folder: Path
    calibration: Path

    @classmethod
    def read(cls, folder: Path, head: str, calibration: Path) -> Network:
        made = (folder / head / "made.pickle").read_bytes()
        description, capture, scores = pickle.loads(made)
        return cls(
            contract=contract(head),
            description=description,
            capture=capture,
            golden=ScoredImages.golden(images(16, seed=1), scores),
            folder=folder / head,
            calibration=calibration,
        )

    def artifact(self, target: str) -> Path:
        return self.folder / TARGETS[target].file_name("net")

    def job(self, target: str) -> Job:
        base = TARGETS[target].starts_from
        return Job(
            name="net",
            contract=self.contract,
            capture=self.capture,
            base=self.artifact(base) if base else None,
            calibration=self.calibration,
            output=self.artifact(target),
        )


NetworkMaker = Callable[[str, str], Network]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of networks by framework; see `head_networks.py`."""
    script = ROOT / "tests" / "head_networks.py"
    folders = {framework: tmp_path_factory.mktemp(framework) for framework in FRAMEWORKS}
    for framework, folder in folders.items():
        run_script(script, framework, folder, without=BESIDE[framework])
    return folders


@pytest.fixture(scope="module")
def network(
    sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NetworkMaker]:
    """A network of some framework with some head, in every target, made when first asked for."""
    calibration = tmp_path_factory.mktemp("photos") / "calibration.npy"
    np.save(calibration, images(64, seed=2))
    log = tmp_path_factory.mktemp("log") / "log.txt"
    made: dict[tuple[str, str], Network] = {}
    with ExitStack() as stack:
        formats = {TARGETS[target].format for target in CHECKED}
        workers = {
            name: stack.enter_context(Child(lean, Converter, UNUSED[name], log=log))
            for name in formats
        }

        def make(framework: str, head: str) -> Network:
            if (framework, head) not in made:
                read = Network.read(sources[framework], head, calibration)
                for target in CHECKED:
                    workers[TARGETS[target].format].call("convert", target, read.job(target))
                made[framework, head] = read
            return made[framework, head]

        yield make


@pytest.mark.parametrize("target", CHECKED)
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("head", CONVERTED)
def test_every_target_answers_as_the_source(
    target: str, framework: str, head: str, network: NetworkMaker
) -> None:
    made, precision = network(framework, head), TARGETS[target].precision
    file, promised = made.artifact(target), TARGETS[target].promised(made.contract.head)
    verdict = artifact_verdict(file, precision, made.contract, promised, made.golden)
    assert verdict.outcome == "agrees", verdict
    runner = open_runner(file)
    assert tuple(runner.label_names or ()) == made.contract.labels.names
    if precision == "float32":
        assert verdict.comparison is not None
        assert verdict.comparison.max_difference <= 1e-5


@pytest.mark.parametrize("head", ["multi-label", "multi-label-logits", "regression"])
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("target", CHECKED)
def test_scores_of_another_order_differ(
    target: str, framework: str, head: str, network: NetworkMaker
) -> None:
    made = network(framework, head)
    spoiled = ScoredImages.golden(made.golden.pixels, made.golden.scores[:, ::-1])
    precision, promised = TARGETS[target].precision, TARGETS[target].promised(made.contract.head)
    verdict = artifact_verdict(made.artifact(target), precision, made.contract, promised, spoiled)
    assert verdict.outcome == "differs"


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("target", ["coreml", "mlpackage", "mlpackage-int8"])
def test_core_ml_answers_a_regression_with_plain_values(
    target: str, framework: str, network: NetworkMaker
) -> None:
    made = network(framework, "regression")
    found = inspect(made.artifact(target))
    assert [(output.name, output.type.split()[0]) for output in found.outputs] == [
        ("values", "array")
    ]
    assert found.labels == made.contract.labels.names
    assert "com.apple.coreml.model.preview.type" not in found.metadata


@pytest.mark.parametrize("target", ["coreml", "mlpackage", "tflite", "onnx"])
def test_one_unit_names_both_labels_and_which_one_is_p(target: str, network: NetworkMaker) -> None:
    found = inspect(network("pytorch", "sigmoid-logits").artifact(target))
    assert list(found.labels or ()) == ["class_0", "class_1"]
    assert found.contract is not None
    assert found.contract["head"] == {"kind": "sigmoid-logits", "positive": "class_1"}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_no_head_beyond_the_plain_ones_is_guessed(framework: str, sources: dict[str, Path]) -> None:
    folder = sources[framework]
    seen = {head: Network.read(folder, head, folder).description.head for head in OUTPUTS}
    assert seen == {
        "softmax": "softmax",
        "logits": "logits",
        "sigmoid": "sigmoid",
        "sigmoid-logits": None,
        "multi-label": None,
        "multi-label-logits": "logits",
        "regression": "logits",
    }


class Rows:
    """A source that gives the same rows whatever it sees."""

    def __init__(self, rows: list[list[float]]) -> None:
        self._rows = np.array(rows, np.float32)

    def outputs(self, values: FloatArray) -> FloatArray:
        return self._rows[: len(values)]


@pytest.mark.parametrize(
    ("head", "row", "message"),
    [
        ("softmax", [3.0, -1.0, 0.5, 2.0], "--head logits to have a softmax appended"),
        ("softmax", [0.9, 0.8, 0.1, 0.0], "--head multi-label if each is the probability"),
        ("sigmoid", [4.0], "--head sigmoid-logits to have a sigmoid appended"),
        ("multi-label", [3.0, -1.0, 0.5, 2.0], "--head multi-label-logits to have a sigmoid"),
        ("multi-label", [0.5, 0.25, 0.125, 0.125], "its labels exclude each other"),
        ("regression", [np.inf, 0.0, 0.0], "NaN or infinity"),
    ],
)
def test_a_head_that_the_values_contradict_is_refused(
    head: str, row: list[float], message: str
) -> None:
    session = SourceSession(Rows([row] * 4))
    with pytest.raises(SourceError, match=message):
        session.scores(images(4, seed=1), contract(head))


def test_regression_takes_any_finite_values() -> None:
    rows = [[1e4, -3.0, 0.0], [2e4, -1.0, 0.0]]
    scores = SourceSession(Rows(rows)).scores(images(2, seed=1), contract("regression"))
    assert scores.tolist() == rows


def test_a_contract_knows_which_label_p_speaks_of() -> None:
    made = contract("sigmoid").to_json()
    assert made["head"]["positive"] == "class_1"
    assert Contract.from_json(made, Labels.numbered(2)).head == Head(kind="sigmoid")
    made["head"].pop("positive")  # As in bundles of earlier versions.
    assert Contract.from_json(made, Labels(("no", "yes"))).positive == "yes"


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(images(1, seed=9)[0]).save(path)
    return path


def test_a_multi_label_model_goes_the_whole_way(
    sources: dict[str, Path], photo: Path, cli: Cli, tmp_path: Path
) -> None:
    model = sources["keras"] / "multi-label.keras"
    done = cli("export", model, "--to", "tflite", "-o", "bundle")
    assert done.returncode == 3
    assert "pass --head multi-label" in done.stderr
    done = cli("export", model, "--to", "tflite", "--head", "multi-label", "-o", "bundle")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "label set agreement" in done.stdout
    parity = Bundle.open(tmp_path / "bundle").manifest.artifacts[0].parity
    assert parity["label_set_agreement"] == 1
    assert parity["largest_sum_error"] is None
    done = cli("verify", "bundle")
    assert done.returncode == 0, done.stdout + done.stderr
    shown = json.loads(cli("classify", photo, "--bundle", "bundle", "--json").stdout)
    every = Classifier(tmp_path / "bundle").classify(photo, top=4)
    assert len(every) == 4
    assert abs(sum(each.probability for each in every) - 1) > 0.01
    likely = [each.label for each in every if each.probability >= 0.5]
    assert [each["label"] for each in shown["predictions"]] == likely
    done = cli("app", "android", "bundle", "-o", "app")
    assert done.returncode == 0, done.stderr


def test_a_regression_goes_the_whole_way(
    sources: dict[str, Path], photo: Path, cli: Cli, tmp_path: Path
) -> None:
    model = sources["pytorch"] / "regression.pt2"
    names = tmp_path / "names.txt"
    names.write_text("age\nyaw\npitch\n")
    done = cli(
        "export", model, "--to", "onnx,tflite", "--head", "regression", "--labels", names,
        "--preset", "tf", "-o", "bundle",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "max Δ/spread" in done.stdout
    assert "top-1" not in done.stdout
    assert "near-ties" not in done.stdout
    manifest = json.loads((tmp_path / "bundle" / "mobilecv.json").read_text())
    assert {entry["output"]["name"] for entry in manifest["artifacts"]} == {"values"}
    done = cli("verify", "bundle", "--format", "markdown")
    assert done.returncode == 0, done.stdout + done.stderr
    done = cli("classify", photo, "--bundle", "bundle", "--artifact", "onnx")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["age", "yaw", "pitch"]
    assert "%" not in done.stdout
    refused = cli("classify", photo, "--bundle", "bundle", "--top", "2")
    assert (refused.returncode, refused.stdout) == (2, "")
    with pytest.raises(UsageError, match="a regression has no labels"):
        Classifier(tmp_path / "bundle").classify(photo)
    refused = cli("app", "android", "bundle", "-o", "app")
    assert refused.returncode == 2
    assert "this model is a regression" in refused.stderr
    assert not (tmp_path / "app").exists()
