"""Bad PyTorch files: one clear line each, and no code of theirs is run."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mobilecv.sources import LoadOptions, check_source_file, open_session
from mobilecv.sources.pytorch.checkpoints import load_checkpoint
from mobilecv.sources.pytorch.exported import load_exported
from mobilecv.sources.pytorch.inspection import inspect_torch
from mobilecv_runtime.errors import MobileCVError, SourceError, UsageError
from tests_shared import DIGITS, Cli

USAGE, SOURCE = 2, 3


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.mark),)


def by_build(torch_files: Path, name: str = "build", **arguments: object) -> LoadOptions:
    return LoadOptions(
        architecture=f"{torch_files / 'nets.py'}:{name}", architecture_args=arguments
    )


def refused(done: subprocess.CompletedProcess[str], code: int, message: str) -> None:
    assert done.returncode == code, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert message in errors[0]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("empty.pt", b"", "the file is empty; copy it again"),
        ("words.pth", b"not a model at all", "not a PyTorch file; expected a state dict"),
        ("words.safetensors", b"not a model at all", "truncated, or not a PyTorch file"),
        ("keras.pt", DIGITS.read_bytes(), "rename it to end in .h5"),
        ("plain.bin", pickle.dumps({"a": 1}), "a pickle, but none that torch.save wrote"),
        ("half.pt", b"PK\x03\x04" + bytes(100), "truncated or damaged"),
    ],
)
def test_a_file_that_is_no_model(name: str, data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    for look in (check_source_file, inspect_torch):
        with pytest.raises(SourceError, match=message):
            look(tmp_path / name)


@pytest.mark.parametrize(
    "name", ["plain.pt", "legacy.th", "plain.safetensors", "traced.ts", "one.pt2"]
)
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_file_is_refused_before_torch_starts(
    name: str, share: float, torch_files: Path, tmp_path: Path
) -> None:
    data = (torch_files / name).read_bytes()
    half = tmp_path / name
    half.write_bytes(data[: int(len(data) * share)])
    loading = LoadOptions() if name[-3:] in (".ts", "pt2") else by_build(torch_files)
    if name == "legacy.th" and share > 0.5:
        # Its pickles are whole; that the tensors' bytes are short is for torch to see.
        with pytest.raises(SourceError, match="torch cannot load it"):
            open_session(half, loading)
        return
    with pytest.raises(SourceError, match="truncated"):
        check_source_file(half, loading)


def test_a_renamed_numpy_archive_is_recognised(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", weights=np.zeros(3))
    renamed = (tmp_path / "a.npz").rename(tmp_path / "a.pt")
    with pytest.raises(SourceError, match=r"a numpy archive \(.npz\)"):
        check_source_file(renamed)


def test_a_folder_and_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(SourceError, match="a folder"):
        check_source_file(tmp_path / "folder.pt")
    with pytest.raises(SourceError, match="no such file"):
        check_source_file(tmp_path / "gone.pt")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_malicious_pickle_is_never_run(
    legacy: bool, wrapped: bool, torch_files: Path, cli: Cli, tmp_path: Path
) -> None:
    import torch

    mark = tmp_path / "mark"
    bomb = Bomb(mark)
    content = {"state_dict": {"fc.weight": torch.ones(2)}, "args": bomb} if wrapped else bomb
    torch.save(content, tmp_path / "evil.pt", _use_new_zipfile_serialization=not legacy)
    place = f"{torch_files / 'nets.py'}:build"
    words = ("--architecture", place, "--size", "12x10")
    refused(cli("export", "evil.pt", *words), SOURCE, "posix.mkdir")
    done = cli("inspect", "evil.pt")
    assert done.returncode == 0, done.stderr
    assert "would import: posix.mkdir" in done.stdout
    assert not mark.exists()
    # The very file does run where it is allowed to: the test would see it.
    with pytest.raises(MobileCVError):
        open_session(tmp_path / "evil.pt", LoadOptions(allow_pickle=True))
    assert mark.exists()


def test_a_pickle_that_hides_what_it_imports_is_not_run_either(
    torch_files: Path, tmp_path: Path
) -> None:
    """Its opcodes are not those that the scan follows: torch decides what is safe, not the scan."""
    import torch

    mark = tmp_path / "mark"
    torch.save({"state_dict": {}}, tmp_path / "hidden.pt")
    hidden = (
        pickle.PROTO + b"\x04" + b"(" + pickle.SHORT_BINUNICODE + b"\x05posix"
        + pickle.SHORT_BINUNICODE + b"\x05mkdir" + b"l" + b"0"
        + pickle.SHORT_BINUNICODE + b"\x05posix" + pickle.SHORT_BINUNICODE + b"\x05mkdir"
        + pickle.STACK_GLOBAL + b"(" + pickle.BINUNICODE
        + len(str(mark)).to_bytes(4, "little") + str(mark).encode() + b"tR."
    )  # fmt: skip
    spoilt = rewritten(tmp_path / "hidden.pt", tmp_path / "evil.pt", {"data.pkl": hidden})
    for attempt in (check_source_file, open_session):
        with pytest.raises(SourceError):
            attempt(spoilt, by_build(torch_files))
    with pytest.raises(SourceError, match="torch cannot load it"):
        load_checkpoint(spoilt, "checkpoint", by_build(torch_files))
    assert not mark.exists()


def test_a_pickled_module_needs_the_users_leave(torch_files: Path, cli: Cli) -> None:
    words = ("--size", "12x10", "--to", "onnx")
    for name in ("module.pt", "legacy_module.pt"):
        done = cli("export", torch_files / name, *words)
        refused(done, SOURCE, "a pickled module; loading it runs whatever code the file names")
        assert "nets.Net" in done.stderr
    allowed = open_session(torch_files / "module.pt", LoadOptions(allow_pickle=True))
    assert allowed._source.outputs(np.zeros((1, 12, 10, 3), np.float32)).shape == (1, 4)


def test_a_checkpoint_with_classes_says_which(torch_files: Path) -> None:
    with pytest.raises(SourceError, match=r"more than tensors.*nets\.Headed.*--allow-pickle"):
        check_source_file(torch_files / "classes.pt", by_build(torch_files))


def rewritten(archive: Path, output: Path, entries: dict[str, bytes | None]) -> Path:
    """A copy of a zip archive with entries replaced, added, or taken out by None."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(output, "w") as new:
        folder = old.namelist()[0].partition("/")[0]
        for info in old.infolist():
            if info.filename.partition("/")[2] not in entries:
                new.writestr(info, old.read(info))
        for name, data in entries.items():
            if data is not None:
                new.writestr(f"{folder}/{name}", data)
    return output


def spoilt_program(archive: Path, output: Path, spoil: Callable[[dict], None]) -> Path:
    with zipfile.ZipFile(archive) as old:
        folder = old.namelist()[0].partition("/")[0]
        program = json.loads(old.read(f"{folder}/models/model.json"))
    spoil(program)
    return rewritten(archive, output, {"models/model.json": json.dumps(program).encode()})


def pickled_by_torch(value: object) -> bytes:
    import torch

    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def test_an_exported_program_can_carry_code_and_none_of_it_is_run(
    torch_files: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    code = f"__import__('os').mkdir({str(mark)!r})"
    good = torch_files / "any_batch.pt2"

    def in_guard(program: dict) -> None:
        program["guards_code"] = [code]

    def in_size(program: dict) -> None:
        tensor = next(iter(program["graph_module"]["graph"]["tensor_values"].values()))
        tensor["sizes"][0] = {"as_expr": {"expr_str": code, "hint": {"as_int": 2}}}

    def in_name(program: dict) -> None:
        program["graph_module"]["graph"]["nodes"][0]["name"] = f"x = {code}; y"

    def in_operation(program: dict) -> None:
        program["graph_module"]["graph"]["nodes"][0]["target"] = "torch.hub.load"

    def in_tree(program: dict) -> None:
        entry = {"fqn": "", "signature": {"in_spec": '{"__enum__": true, "fqn": "evil:A"}'}}
        program["graph_module"]["module_call_graph"] = [entry]

    spoilt = [
        spoilt_program(good, tmp_path / f"{spoil.__name__}.pt2", spoil)
        for spoil in (in_guard, in_size, in_name, in_operation, in_tree)
    ]
    config = {"config": {"c": {"path_name": "opaque_obj_0", "is_param": False,
                               "use_pickle": True, "tensor_meta": None}}}  # fmt: skip
    spoilt.append(
        rewritten(good, tmp_path / "constant.pt2", {
            "data/constants/model_constants_config.json": json.dumps(config).encode(),
            "data/constants/opaque_obj_0": pickle.dumps(Bomb(mark)),
        })
    )  # fmt: skip
    spoilt.append(
        rewritten(good, tmp_path / "library.pt2", {"data/aotinductor/model/a.so": b"\x7fELF"})
    )
    for path in spoilt:
        with pytest.raises(SourceError, match="might run code"):
            load_exported(path)
        assert not mark.exists(), path.name
    sample = {"data/sample_inputs/model.pt": pickled_by_torch((Bomb(mark),))}
    with pytest.raises(SourceError, match=r"torch\.export\.load fails"):
        load_exported(rewritten(good, tmp_path / "sample.pt2", sample))
    assert not mark.exists()


def test_a_program_with_wild_fields_is_damaged(torch_files: Path, tmp_path: Path) -> None:
    good = torch_files / "one.pt2"
    wild = {"models/model.json": b"[1]"}, {"data/weights/model_weights_config.json": b"{}"}
    for number, entries in enumerate(wild):
        with pytest.raises(SourceError, match="damaged"):
            load_exported(rewritten(good, tmp_path / f"{number}.pt2", entries))


def test_those_programs_would_run_code_if_torch_alone_loaded_them(
    torch_files: Path, tmp_path: Path
) -> None:
    """Why `exported_archive.py` is there; when this fails, torch may have closed the hole."""
    import torch

    mark = tmp_path / "mark"
    sample = {"data/sample_inputs/model.pt": pickled_by_torch((Bomb(mark),))}
    path = rewritten(torch_files / "any_batch.pt2", tmp_path / "sample.pt2", sample)
    with contextlib.suppress(Exception):  # What came out of the pickle is no example input.
        torch.export.load(path)
    assert mark.exists()


def test_a_torchscript_that_writes_files_is_refused(torch_files: Path, tmp_path: Path) -> None:
    code = {"code/__torch__.py": b"def forward(self, x):\n  torch.save(x, 'mark')\n  return x\n"}
    path = rewritten(torch_files / "traced.ts", tmp_path / "evil.ts", code)
    with pytest.raises(SourceError, match=r"calls torch\.save"):
        check_source_file(path)


def test_a_fixed_batch_of_several_images_is_refused(torch_files: Path) -> None:
    with pytest.raises(SourceError, match="exported for a fixed batch of 2"):
        open_session(torch_files / "two.pt2")


def test_nan_weights_are_named(torch_files: Path) -> None:
    with pytest.raises(SourceError, match=r"tensor 'fc\.weight' holds NaN"):
        open_session(torch_files / "nan.pt", by_build(torch_files))


def test_a_checkpoint_without_weights_says_what_it_holds(torch_files: Path) -> None:
    message = r"holds no state dict; its entries are epoch \(int\), optimizer \(dict\)"
    with pytest.raises(SourceError, match=message):
        open_session(torch_files / "no_weights.pt", by_build(torch_files))


def test_another_number_of_classes_says_what_to_pass(torch_files: Path) -> None:
    with pytest.raises(SourceError) as caught:
        open_session(torch_files / "plain.pt", by_build(torch_files, num_classes=9))
    message = str(caught.value)
    assert "fc.weight is 4x8 in the file and 9x8 in the network" in message
    assert """pass --architecture-args '{"num_classes": 4}'""" in message


def test_another_network_lists_what_is_missing_and_unexpected(torch_files: Path) -> None:
    source = torch_files / "other.py"
    source.write_text(
        "from nets import Net, nn\n\n\ndef build():\n    network = Net()\n"
        "    network.head = network.fc\n    del network.fc\n    return network\n"
    )
    with pytest.raises(SourceError) as caught:
        open_session(torch_files / "plain.pt", LoadOptions(architecture=f"{source}:build"))
    message = str(caught.value)
    assert "2 missing (head.weight, head.bias), 2 unexpected (fc.weight, fc.bias)" in message
    assert "check --architecture" in message


def test_weights_without_an_architecture_say_what_to_name(torch_files: Path) -> None:
    for name in ("plain.pt", "plain.safetensors"):
        with pytest.raises(UsageError, match=r"name what builds it with --architecture"):
            check_source_file(torch_files / name)


@pytest.mark.parametrize("name", ["scripted.pt", "one.pt2"])
def test_a_file_with_its_own_network_takes_no_architecture(name: str, torch_files: Path) -> None:
    with pytest.raises(UsageError, match="leave --architecture out"):
        check_source_file(torch_files / name, by_build(torch_files))


def test_a_whole_keras_model_takes_no_architecture(torch_files: Path) -> None:
    with pytest.raises(UsageError, match=r"a whole Keras model, .*leave --architecture out"):
        check_source_file(DIGITS, by_build(torch_files))
