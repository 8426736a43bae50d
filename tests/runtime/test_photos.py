from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from mobilecv_runtime.errors import UsageError
from mobilecv_runtime.photos import PhotoFolder, PreparedPhotos
from mobilecv_runtime.spec import ImageInput, Labels

LABELS = Labels(("cat", "dog"))
IMAGE = ImageInput(height=4, width=4, channels=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("cat/1.jpg", "cat/2.JPG", "dog/1.png", "bird/1.png", ".hidden.png", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(path, "PNG")
    return tmp_path


def test_sub_folders_with_the_labels_names_give_the_truth(folder: Path) -> None:
    found = PhotoFolder.find(folder, LABELS)
    truths = [(photo.path.relative_to(folder).as_posix(), photo.truth) for photo in found.photos]
    assert truths == [("bird/1.png", None), ("cat/1.jpg", 0), ("cat/2.JPG", 0), ("dog/1.png", 1)]
    assert found.unknown_classes == ("bird",)


def test_a_sample_is_the_same_every_time(folder: Path) -> None:
    found = PhotoFolder.find(folder, LABELS)
    assert found.sample(2) == found.sample(2)
    assert len(found.sample(2).photos) == 2
    assert found.sample(100) is found


def test_a_corrupt_photo_is_left_out_and_named(folder: Path) -> None:
    (folder / "cat" / "1.jpg").write_bytes(b"broken")
    prepared = PreparedPhotos(PhotoFolder.find(folder, LABELS).photos, IMAGE)
    sizes = [(len(photos), pixels.shape) for photos, pixels in prepared.batches(2)]
    assert sizes == [(2, (2, 4, 4, 3)), (1, (1, 4, 4, 3))]
    assert len(prepared.skipped) == 1
    assert "1.jpg" in prepared.skipped[0]


def test_a_missing_or_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        PhotoFolder.find(tmp_path / "gone", LABELS)
    with pytest.raises(UsageError, match="no photos in it"):
        PhotoFolder.find(tmp_path, LABELS)
