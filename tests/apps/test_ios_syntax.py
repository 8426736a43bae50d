"""Every Swift file of the iOS app parses, and none of them can stop the app on purpose.

The grammar (tree-sitter-swift) knows syntax, not types; it runs wherever Python does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import tree_sitter_swift
from tree_sitter import Language, Node, Parser

from tests_shared import ROOT

APP = ROOT / "ios_app"
SOURCES = sorted(path for path in APP.rglob("*.swift") if ".build" not in path.parts)
PARSER = Parser(Language(tree_sitter_swift.language()))
TRAPS = {"fatalError", "preconditionFailure", "precondition", "assertionFailure", "assert", "exit"}


def nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from nodes(child)


def broken(source: bytes) -> list[str]:
    """Where the syntax is broken, as line:column."""
    return [
        f"{node.start_point.row + 1}:{node.start_point.column + 1}"
        for node in nodes(PARSER.parse(source).root_node)
        if node.type == "ERROR" or node.is_missing
    ]


def traps(source: bytes) -> list[str]:
    """What could end the app: force unwraps, `try!`, `as!`, and calls made to stop a process."""
    return [
        f"{node.start_point.row + 1}: {text}"
        for node in nodes(PARSER.parse(source).root_node)
        if (text := trap(node))
    ]


def trap(node: Node) -> str:
    text = (node.text or b"").decode()
    if node.type in ("try_operator", "as_operator") and text.endswith("!"):
        return text
    if node.type == "postfix_expression" and any(child.type == "bang" for child in node.children):
        return text
    if node.type == "call_expression" and text.split("(")[0].strip() in TRAPS:
        return text
    return ""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(APP)))
def test_a_file_parses(path: Path) -> None:
    assert broken(path.read_bytes()) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(APP)))
def test_a_file_cannot_stop_the_app_on_purpose(path: Path) -> None:
    assert traps(path.read_bytes()) == []


def test_a_written_project_holds_these_files_and_no_other(written: dict[str, Path]) -> None:
    found = {path.relative_to(written["ios"]): path for path in written["ios"].rglob("*.swift")}
    assert set(found) == {path.relative_to(APP) for path in SOURCES}
    for path in found.values():
        assert broken(path.read_bytes()) == []
        assert traps(path.read_bytes()) == []


def test_all_parts_of_the_app_are_looked_at() -> None:
    parts = {path.relative_to(APP).parts[0] for path in SOURCES}
    assert parts == {"App", "ClassifierCore", "ClassifierTests"}


@pytest.mark.parametrize("source", [b"let a = (1", b"func f( {}", b"struct { let a }"])
def test_broken_syntax_is_found(source: bytes) -> None:
    assert broken(source)


@pytest.mark.parametrize("source", [b"let a = b!", b"let a = try! b()", b"let a = b as! C",
                                    b'fatalError("no")'])  # fmt: skip
def test_what_could_stop_the_app_is_found(source: bytes) -> None:
    assert traps(source)


def test_a_negation_is_no_force_unwrap() -> None:
    assert traps(b"let a = !b\nif a != c { d() }") == []
