"""The Xcode project, without Xcode: syntax, cross-references, and the settings that count."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from pbxproj import XcodeProject

from tests_shared import ROOT

APP = ROOT / "ios_app"
PROJECT = APP / "Classifier.xcodeproj" / "project.pbxproj"
ID = re.compile(r"\b[0-9A-F]{24}\b")


@pytest.fixture(scope="session")
def file(ios_project: Path) -> Path:
    return ios_project / "Classifier.xcodeproj" / "project.pbxproj"


@pytest.fixture(scope="session")
def project(file: Path) -> Any:
    return XcodeProject.load(str(file))


@pytest.fixture
def plparse() -> str:
    """GNUstep's reader of property lists."""
    tool = shutil.which("plparse")
    if tool is None and os.environ.get("CI"):
        pytest.fail("plparse is missing; run tests/apps/install_ios_tools.sh")
    if tool is None:
        pytest.skip("no plparse; get it by tests/apps/install_ios_tools.sh")
    return tool


def objects(project: Any, kind: str) -> list[Any]:
    return list(project.objects.get_objects_in_section(kind))


def settings(project: Any, name: str) -> list[Any]:
    """The build settings of the project (its own name is `Classifier` too) or of a target."""
    owner = next(target for target in objects(project, "PBXNativeTarget") if target.name == name)
    lists = project.objects[owner.buildConfigurationList]
    return [project.objects[each].buildSettings for each in lists.buildConfigurations]


def dangling(text: str) -> set[str]:
    """Ids that something refers to and nothing defines."""
    defined = re.findall(r"^\t\t([0-9A-F]{24}) .*= \{$", text, re.MULTILINE)
    assert len(defined) == len(set(defined)), "an id is defined twice"
    return set(ID.findall(text)) - set(defined)


def parses(plparse: str, path: Path) -> bool:
    done = subprocess.run([plparse, path], capture_output=True, text=True, check=False)
    return done.returncode == 0 and "a dictionary" in done.stdout + done.stderr


def test_the_project_is_a_property_list(plparse: str, file: Path) -> None:
    assert parses(plparse, file)


def test_a_missing_semicolon_is_found(plparse: str, tmp_path: Path) -> None:
    spoiled = tmp_path / "project.pbxproj"
    spoiled.write_text(PROJECT.read_text().replace("objectVersion = 77;", "objectVersion = 77", 1))
    assert not parses(plparse, spoiled)


def test_no_reference_dangles(file: Path) -> None:
    assert dangling(file.read_text()) == set()


def test_a_dangling_reference_is_found() -> None:
    text = PROJECT.read_text()
    section = "PBXTargetDependency"
    without = re.sub(rf"/\* Begin {section}.*End {section} section \*/", "", text, flags=re.DOTALL)
    assert len(dangling(without)) == 1


def test_every_object_is_used(file: Path) -> None:
    text = file.read_text()
    assert [found for found in set(ID.findall(text)) if text.count(found) < 2] == []


def test_every_synchronised_folder_exists(project: Any, ios_project: Path) -> None:
    folders = {each.path for each in objects(project, "PBXFileSystemSynchronizedRootGroup")}
    assert folders == {"App", "Model", "ClassifierTests"}
    assert all((ios_project / folder).is_dir() for folder in folders)


def test_the_readme_of_the_model_folder_is_kept_out_of_the_app(
    project: Any, ios_project: Path
) -> None:
    (exception,) = objects(project, "PBXFileSystemSynchronizedBuildFileExceptionSet")
    assert list(exception.membershipExceptions) == ["README.md"]
    assert (ios_project / "Model" / "README.md").is_file()


def test_the_model_folder_holds_no_model_in_the_repository() -> None:
    done = subprocess.run(
        ["git", "ls-files", "ios_app/Model"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["ios_app/Model/README.md"]


def test_the_package_is_where_the_project_looks(project: Any, ios_project: Path) -> None:
    (package,) = objects(project, "XCLocalSwiftPackageReference")
    assert (ios_project / package.relativePath / "Package.swift").is_file()
    products = {each.productName for each in objects(project, "XCSwiftPackageProductDependency")}
    assert products == {"ClassifierCore"}


def test_the_tests_do_not_link_the_package_a_second_time(project: Any) -> None:
    """They run inside the app, which brings it; two copies of a type are two types."""
    tests = next(
        each for each in objects(project, "PBXNativeTarget") if each.name == "ClassifierTests"
    )
    assert list(tests.packageProductDependencies) == []


def test_the_scheme_builds_and_tests_targets_of_the_project(project: Any, file: Path) -> None:
    targets = {each.get_id(): each.name for each in objects(project, "PBXNativeTarget")}
    shared = file.parent / "xcshareddata" / "xcschemes" / "Classifier.xcscheme"
    scheme = ET.parse(shared).getroot()
    references = list(scheme.iter("BuildableReference"))
    assert {each.get("BlueprintIdentifier"): each.get("BlueprintName") for each in references} == (
        targets
    )
    (testable,) = scheme.iter("TestableReference")
    assert testable[0].get("BlueprintName") == "ClassifierTests"


def test_asset_catalogues_are_copied(project: Any) -> None:
    app = next(each for each in objects(project, "PBXNativeTarget") if each.name == "Classifier")
    kinds = [project.objects[phase].isa for phase in app.buildPhases]
    assert "PBXResourcesBuildPhase" in kinds


def test_the_app_says_what_camera_and_photos_are_for(project: Any) -> None:
    for configuration in settings(project, "Classifier"):
        assert configuration["GENERATE_INFOPLIST_FILE"] == "YES"
        assert configuration["INFOPLIST_KEY_NSCameraUsageDescription"]
        assert configuration["INFOPLIST_KEY_NSPhotoLibraryUsageDescription"]


def test_golden_images_reach_the_app_byte_for_byte(project: Any) -> None:
    for configuration in settings(project, "Classifier"):
        assert configuration["COMPRESS_PNG_FILES"] == "NO"
        assert configuration["STRIP_PNG_TEXT"] == "NO"


def test_no_class_is_generated_for_the_model(project: Any) -> None:
    for configuration in settings(project, "Classifier"):
        assert configuration["COREML_CODEGEN_LANGUAGE"] == "None"


@pytest.mark.parametrize("name", ["Classifier", "ClassifierTests"])
def test_no_team_is_committed(project: Any, name: str) -> None:
    for configuration in settings(project, name):
        assert not configuration["DEVELOPMENT_TEAM"].strip('"')


def test_debug_and_release_run_on_ios_17(project: Any) -> None:
    (root,) = objects(project, "PBXProject")
    lists = project.objects[root.buildConfigurationList]
    configurations = [project.objects[each] for each in lists.buildConfigurations]
    assert [each.name for each in configurations] == ["Debug", "Release"]
    assert {each.buildSettings["IPHONEOS_DEPLOYMENT_TARGET"] for each in configurations} == {"17.0"}


def test_a_written_project_is_named_like_its_model_and_holds_one(written: dict[str, Path]) -> None:
    project = XcodeProject.load(str(written["ios"] / "Classifier.xcodeproj" / "project.pbxproj"))
    for configuration in settings(project, "Classifier"):
        assert configuration["INFOPLIST_KEY_CFBundleDisplayName"].strip('"') == "digits"
    held = {path.name for path in (written["ios"] / "Model").iterdir()}
    assert held == {"README.md", "mobilecv.json", "labels.txt", "golden", "digits.mlpackage"}
