"""The projects that are checked: the sample apps, and what `mobilecv app` writes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mobilecv.apps import APPS, app_sources, write_app
from mobilecv_runtime.bundle import Bundle

BOTH = ("sample", "written")


@pytest.fixture(scope="session")
def written(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By the app's id, a project that `mobilecv app` wrote for the exported demo model."""
    folder = tmp_path_factory.mktemp("written")
    for kind in APPS.values():
        write_app(kind, Bundle.open(exported), folder / kind.id)
    return {id_: folder / id_ for id_ in APPS}


@pytest.fixture(scope="session", params=BOTH)
def ios_project(request: pytest.FixtureRequest) -> Path:
    """The iOS app as it stands in the repository, and as it is written with a model."""
    return _project("ios", request)


@pytest.fixture(scope="session", params=BOTH)
def android_project(request: pytest.FixtureRequest) -> Path:
    """The same of the Android app."""
    return _project("android", request)


def _project(kind: str, request: pytest.FixtureRequest) -> Path:
    if request.param == "sample":
        return app_sources(APPS[kind])
    projects: dict[str, Path] = request.getfixturevalue("written")
    return projects[kind]
