"""The weight file is believed only as far as its real size goes."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mobilecv_runtime.coreml.blobs import WeightFile
from mobilecv_runtime.errors import BundleError

NUMBERS = np.arange(5, dtype=np.float32)


def weight_file(path: Path, **changes: int) -> Path:
    """A file with one blob at 64; a change falsifies one of its claims."""
    claims = {
        "count": 1,
        "version": 2,
        "sentinel": 0xDEADBEEF,
        "dtype": 2,
        "size": NUMBERS.nbytes,
        "offset": 128,
        "padding": 0,
        **changes,
    }
    header = struct.pack("<II7Q", claims["count"], claims["version"], *[0] * 7)
    fields = (claims[name] for name in ("sentinel", "dtype", "size", "offset", "padding"))
    path.write_bytes(header + struct.pack("<IIQQQ4Q", *fields, *[0] * 4) + NUMBERS.tobytes())
    return path


def test_a_blob_is_a_view_of_the_file(tmp_path: Path) -> None:
    blob = WeightFile(weight_file(tmp_path / "weight.bin")).blob(64, "float32", 160)
    assert np.array_equal(np.frombuffer(blob, np.float32), NUMBERS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 3}, "version 3"),
        ({"count": 2**31}, "claims 2147483648 blobs"),
        ({"sentinel": 1}, "no blob starts at 64"),
        ({"dtype": 1}, "holds float16, not float32"),
        ({"dtype": 99}, "unknown type 99"),
        ({"size": 2**60}, "bytes, not 20"),
        ({"size": 24}, "24 bytes, not 20"),
        ({"offset": 132}, "ends after the file"),
        ({"offset": 2**63}, "ends after the file"),
        ({"offset": 0}, "ends after the file"),
        ({"padding": 8}, "bytes, not 20"),
    ],
)
def test_a_false_claim_is_refused(changes: dict[str, int], message: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=message):
        WeightFile(weight_file(tmp_path / "weight.bin", **changes)).blob(64, "float32", 160)


@pytest.mark.parametrize("offset", [-64, 0, 65, 128, 192, 2**62])
def test_an_offset_where_no_blob_is_is_refused(offset: int, tmp_path: Path) -> None:
    weights = WeightFile(weight_file(tmp_path / "weight.bin"))
    with pytest.raises(BundleError):
        weights.blob(offset, "float32", 160)


def test_a_file_that_was_cut_is_refused(tmp_path: Path) -> None:
    path = weight_file(tmp_path / "weight.bin")
    whole = path.read_bytes()
    for length in (0, 10, 64, 100, 128, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(BundleError):
            WeightFile(path).blob(64, "float32", 160)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be read"):
        WeightFile(tmp_path / "weight.bin")


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changed=st.dictionaries(st.integers(0, 147), st.integers(0, 255), min_size=1, max_size=6))
def test_any_changed_bytes_are_read_or_refused(changed: dict[int, int], tmp_path: Path) -> None:
    path = weight_file(tmp_path / "weight.bin")
    data = bytearray(path.read_bytes())
    for place, byte in changed.items():
        data[place] = byte
    path.write_bytes(data)
    try:
        blob = WeightFile(path).blob(64, "float32", 160)
    except BundleError:
        return
    assert len(blob) == NUMBERS.nbytes
