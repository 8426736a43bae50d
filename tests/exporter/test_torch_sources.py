"""PyTorch files of every kind load, answer as the module does, and are captured."""

from __future__ import annotations

import importlib
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from mobilecv.captures import TorchProgram
from mobilecv.options import ModelOptions, resolve
from mobilecv.sources import (
    LoadOptions,
    SourceDescription,
    SourceSession,
    StatedInput,
    check_source_file,
    open_session,
    wrap_model,
)
from mobilecv.sources.pytorch import torchscript
from mobilecv_runtime.child import Child
from mobilecv_runtime.errors import SourceError, UsageError
from mobilecv_runtime.spec import PRESETS

WEIGHTS = (
    "plain.pt", "legacy.th", "nested.pth", "twice.bin", "parallel.pt", "compiled.ckpt",
    "namespace.pt", "uncounted.pt", "plain.safetensors",
)  # fmt: skip
ROUNDED = ("half.pt", "bfloat.pt")
SELF_CONTAINED = ("scripted.pt", "traced.ts", "any_batch.pt2", "one.pt2")
SIZE = StatedInput(size=(12, 10))
SHAPE = (12, 10, 3)


@pytest.fixture(scope="module")
def nets(torch_files: Path):
    sys.path.insert(0, str(torch_files))
    yield importlib.import_module("nets")
    sys.path.remove(str(torch_files))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(3, *SHAPE)).astype(np.float32)


def opened(folder: Path, name: str) -> SourceSession:
    loading = LoadOptions()
    if name not in SELF_CONTAINED:
        loading = LoadOptions(architecture=f"{folder / 'nets.py'}:build")
    check_source_file(folder / name, loading)
    return open_session(folder / name, loading)


def outputs(session: SourceSession, images: np.ndarray) -> np.ndarray:
    return session._source.outputs(images)


def expected(torch_files: Path, nets, images: np.ndarray) -> np.ndarray:
    """What plain PyTorch answers."""
    import torch

    network = nets.Net()
    network.load_state_dict(torch.load(torch_files / "plain.pt", weights_only=True))
    with torch.inference_mode():
        return network.eval()(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()


@pytest.mark.parametrize("name", WEIGHTS + ROUNDED + SELF_CONTAINED)
def test_every_kind_of_file_answers_as_the_module_does(
    name: str, torch_files: Path, nets, images: np.ndarray
) -> None:
    found = outputs(opened(torch_files, name), images)
    assert found.dtype == np.float32
    # bfloat16 keeps 8 bits of a weight.
    tolerance = 5e-2 if name in ROUNDED else 1e-6
    np.testing.assert_allclose(found, expected(torch_files, nets, images), atol=tolerance)


@pytest.mark.parametrize("name", ["plain.pt", *SELF_CONTAINED])
def test_what_is_captured_answers_as_the_source_does(
    name: str, torch_files: Path, images: np.ndarray, tmp_path: Path
) -> None:
    import torch

    session = opened(torch_files, name)
    capture = session.capture(tmp_path / "graph", SHAPE)
    assert isinstance(capture, TorchProgram)
    assert capture.dynamic_batch == (name != "one.pt2")
    module = torch.export.load(capture.path).module()
    count = 3 if capture.dynamic_batch else 1
    with torch.inference_mode():
        found = module(torch.from_numpy(images[:count]).permute(0, 3, 1, 2).contiguous()).numpy()
    np.testing.assert_allclose(found, outputs(session, images[:count]), atol=1e-5)


@pytest.mark.filterwarnings("ignore")  # the converter's own, before it fails
def test_a_script_that_torch_cannot_convert_is_captured_by_what_it_runs(
    torch_files: Path, images: np.ndarray, tmp_path: Path
) -> None:
    import torch

    path = torch_files / "attentive.pt"
    script = torch.jit.load(path)
    with pytest.raises(RuntimeError):
        torchscript._converted(script, torch.rand(1, 3, 12, 10))
    session = open_session(path)
    capture = session.capture(tmp_path / "graph", SHAPE)
    module = torch.export.load(capture.path).module()
    with torch.inference_mode():
        found = module(torch.from_numpy(images[:1]).permute(0, 3, 1, 2).contiguous()).numpy()
    np.testing.assert_allclose(found, outputs(session, images[:1]), atol=1e-5)


@pytest.mark.parametrize("name", ["plain.pt", *SELF_CONTAINED])
def test_a_model_is_described(name: str, torch_files: Path) -> None:
    found = opened(torch_files, name).describe(SIZE)
    assert (found.framework, found.channels, found.outputs) == ("pytorch", 3, 4)
    assert found.head == "logits"
    assert "torch" in found.tools
    fixed = (12, 10) if name.endswith(".pt2") else (None, None)
    assert (found.height, found.width) == fixed


def test_a_program_says_its_size_and_others_must_be_told(torch_files: Path) -> None:
    assert opened(torch_files, "one.pt2").describe(StatedInput()).height == 12
    with pytest.raises(UsageError, match=r"state it with --size"):
        opened(torch_files, "plain.pt").describe(StatedInput())


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("nested.pth", "taken from 'state_dict'"),
        ("twice.bin", r"taken from 'model.state_dict' \(not from 'ema'\)"),
        ("parallel.pt", "the prefix 'module.' of their names was taken off"),
        ("compiled.ckpt", r"1 outside that prefix \(loss.weight\) left out"),
        ("half.pt", "in float16 were cast to float32"),
        ("bfloat.pt", "in bfloat16 were cast to float32"),
    ],
)
def test_what_was_decided_is_said(name: str, note: str, torch_files: Path) -> None:
    description = opened(torch_files, name).describe(SIZE)
    notes = resolve(ModelOptions(size=(12, 10)), description, None).notes
    assert any(re.search(note, line) for line in notes), notes


def test_nothing_stated_means_the_usual_preset_of_pytorch(torch_files: Path) -> None:
    description = opened(torch_files, "plain.pt").describe(SIZE)
    found = resolve(ModelOptions(size=(12, 10)), description, None)
    assert found.contract.preprocessing == PRESETS["torch"]
    assert any("preset torch is assumed" in note for note in found.notes)


def test_a_gray_network_is_recognised_by_its_first_convolution(nets) -> None:
    found = wrap_model(nets.Net(in_chans=1)).describe(SIZE)
    assert found.channels == 1
    contract = resolve(ModelOptions(size=(12, 10)), found, None).contract
    assert contract.preprocessing.color == "GRAY"


def test_a_network_without_convolutions_takes_the_stated_colours() -> None:
    from torch import nn

    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    stated = ModelOptions(size=(8, 8), color="gray").stated_input
    assert wrap_model(network).describe(stated).channels == 1
    with pytest.raises(SourceError, match=r"fails on an image of shape 1x3x8x8.*--color GRAY"):
        wrap_model(network).describe(StatedInput(size=(8, 8)))


@pytest.mark.parametrize(
    ("last", "head"),
    [("softmax", "softmax"), ("log_softmax", "logits"), ("sigmoid", None), ("relu", None)],
)
def test_the_head_is_seen_in_the_last_operation(last: str, head: str | None, nets) -> None:
    found = wrap_model(nets.Headed(last)).describe(SIZE)
    assert found.head == head
    assert last in found.last_operation


def test_one_sigmoid_unit_is_a_sigmoid_head_and_one_logit_is_none(nets) -> None:
    assert wrap_model(nets.Headed("sigmoid", num_classes=1)).describe(SIZE).head == "sigmoid"
    bare = wrap_model(nets.Net(num_classes=1)).describe(SIZE)
    with pytest.raises(SourceError, match="put a sigmoid behind it"):
        resolve(ModelOptions(size=(12, 10)), bare, None)


def test_log_probabilities_get_a_softmax_which_gives_the_probabilities(nets) -> None:
    session = SourceSession(wrap_model(nets.Headed("log_softmax")))
    resolved = resolve(ModelOptions(size=(12, 10)), session.describe(SIZE), None)
    assert any("log-probabilities are the probabilities" in note for note in resolved.notes)
    pixels = np.arange(360, dtype=np.uint8).reshape(1, *SHAPE)
    values = resolved.contract.preprocessing.apply(pixels)
    scores = session.scores(pixels, resolved.contract)
    np.testing.assert_allclose(scores, np.exp(outputs(session, values)), atol=1e-6)


def test_a_head_that_contradicts_the_values_is_refused(nets) -> None:
    session = SourceSession(wrap_model(nets.Net()))
    stated = ModelOptions(size=(12, 10), head="softmax")
    contract = resolve(stated, session.describe(SIZE), None).contract
    with pytest.raises(SourceError, match="the model's values are no probabilities"):
        session.scores(np.full((1, *SHAPE), 200, np.uint8), contract)


def test_a_softmax_written_by_hand_gets_no_second_one(nets) -> None:
    found = wrap_model(nets.Headed("softmax by hand")).describe(SIZE)
    assert (found.head, found.last_operation) == (None, "div")
    stated = ModelOptions(size=(12, 10), head="softmax")
    assert resolve(stated, found, None).contract.head.kind == "softmax"


def test_several_sigmoids_are_refused_by_name(nets) -> None:
    found = wrap_model(nets.Headed("sigmoid")).describe(SIZE)
    with pytest.raises(SourceError, match="multi-label"):
        resolve(ModelOptions(size=(12, 10)), found, None)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("tuple", r"gives 2 values \(\(1, 4\), \(1, 4\)\)"),
        ("dictionary", "gives a dictionary of logits"),
        ("map", r"of shape \(1, 3, 12, 10\)"),
        ("forgotten dropout", "draws random numbers .*training=self.training"),
    ],
)
def test_anything_but_one_steady_row_of_scores_is_refused(head: str, message: str, nets) -> None:
    with pytest.raises(SourceError, match=message):
        wrap_model(nets.Headed(head)).describe(SIZE)


def test_a_network_traced_in_training_is_refused(torch_files: Path) -> None:
    session = open_session(torch_files / "traced_in_training.pt")
    with pytest.raises(SourceError, match="behaves as in training"):
        session.describe(SIZE)


def test_a_module_in_memory_is_taken_in_any_state_and_left_as_it_was(
    nets, images: np.ndarray
) -> None:
    import torch

    network = nets.Net().train().double()
    network.bn.eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    source = wrap_model(network)
    source.describe(SIZE)
    first, again = source.outputs(images), source.outputs(images)
    np.testing.assert_array_equal(first, again)
    assert [part.training for part in network.modules()] == [True, True, False, True, True]
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(value.requires_grad for value in network.parameters())
    assert network.fc.weight.dtype == torch.float64


def test_wrappers_of_a_module_are_taken_off(nets, images: np.ndarray) -> None:
    from torch import nn

    network = nets.Net()
    wrapped = wrap_model(nn.DataParallel(network)).outputs(images)
    np.testing.assert_array_equal(wrapped, wrap_model(network).outputs(images))


def test_threads_are_kept_to(torch_files: Path) -> None:
    import torch

    from mobilecv.sources.pytorch.source import TorchSource

    before = torch.get_num_threads()
    try:
        TorchSource.load(torch_files / "traced.ts", threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_descriptions_pickle_since_they_come_from_another_process(torch_files: Path) -> None:
    found = opened(torch_files, "half.pt").describe(SIZE)
    copied = pickle.loads(pickle.dumps(found))
    assert isinstance(copied, SourceDescription)
    assert copied == found


def test_it_works_through_a_process_of_its_own(torch_files: Path, tmp_path: Path) -> None:
    """As in an export: what crosses the pipes must pickle, in both directions."""
    loading = LoadOptions(
        architecture=f"{torch_files / 'nets.py'}:build", architecture_args={"num_classes": 4}
    )
    path = torch_files / "plain.safetensors"
    stated = ModelOptions(size=(12, 10))
    pixels = np.full((9, *SHAPE), 90, np.uint8)
    with Child(open_session, path, loading, log=tmp_path / "log.txt") as child:
        description = child.call("describe", stated.stated_input)
        contract = resolve(stated, description, None).contract
        scores = child.call("scores", pixels, contract)
        capture = child.call("capture", tmp_path / "graph", contract.image.shape)
    assert capture.path.is_file()
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    here = open_session(path, loading).scores(pixels, contract)
    np.testing.assert_allclose(scores, here, atol=1e-6)
