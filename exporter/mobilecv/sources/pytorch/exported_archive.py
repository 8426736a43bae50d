"""A `.pt2` archive, checked and rewritten so that loading it runs no code from it.

`torch.export.load` (2.13) was not made for files from strangers. It unpickles opaque constants,
loads shared libraries below `data/aotinductor`, evaluates the expressions of sizes with
`sympy.sympify`, and compiles guards and the names of values as Python. So every entry is looked at
here, what is not known is refused by name, and torch is given a copy that holds nothing else.
"""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mobilecv.sources.pytorch.files import entries
from mobilecv_runtime.errors import SourceError

_KNOWN: Final = re.compile(
    r"models/model\.json|data/weights/(weight_\d+|model_weights_config\.json|model\.pt)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json|model\.pt)"
    r"|data/sample_inputs/model\.pt|archive_format|archive_version|byteorder"
    r"|(\.data|\.format_version|\.storage_alignment)(/\w+)?|version"
)
_IGNORED: Final = re.compile(r"extra/.*")
_OPERATION: Final = re.compile(
    r"torch\.ops\.aten\.\w+\.\w+|torch\.sym_\w+|math\.\w+"
    r"|_operator\.(add|sub|mul|floordiv|truediv|mod|pow|neg|getitem|eq|ne|l[te]|g[te]|and_|or_|not_)"
)
# Names of values become Python's; names of weights are only looked up ("block1-0" in RegNet).
_IDENTIFIER: Final = re.compile(r"\w*")
_NAME: Final = re.compile(r"[\w.-]*")
_FREE_TEXT: Final = frozenset({"metadata", "torch_version", "verifiers", "module_call_graph"})
# torch.utils._pytree imports the module of an enumeration that a tree's description names so.
_IMPORTING: Final = "__enum__"
_EXPRESSION: Final = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp,
    ast.Add, ast.Sub, ast.Mult, ast.Pow, ast.FloorDiv, ast.Mod, ast.Compare, ast.Eq, ast.NotEq,
    ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Constant, ast.Subscript, ast.Load, ast.Name, ast.Call,
    ast.keyword, ast.Attribute,
)  # fmt: skip
_WORDS: Final = frozenset(
    {
        "L", "size", "Symbol", "Integer", "Rational", "Add", "Mul", "Pow", "Max", "Min", "Mod",
        "PythonMod", "FloorDiv", "CeilDiv", "CleanDiv", "ModularIndexing", "Where", "Eq", "Ne",
        "Equality", "Unequality", "GreaterThan", "LessThan", "StrictGreaterThan",
        "StrictLessThan", "And", "Or", "Not", "CeilToInt", "FloorToInt", "TruncToInt", "ToFloat",
        "IntTrueDiv", "true", "false",
    }
)  # fmt: skip
"""What sizes are made of: sympy's functions and those of torch.utils._sympy.functions."""
_VARIABLE: Final = re.compile(r"[a-z]+\d+")


def checked_archive(path: Path) -> io.BytesIO:
    """A copy of an archive, of which every entry is of a known kind.

    Raises:
        SourceError: If there is one that could run code, or that is not known.
    """
    copy = io.BytesIO()
    try:
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copy, "w") as checked:
            for name, info in entries(path).items():
                if not _IGNORED.fullmatch(name):
                    checked.writestr(f"model/{name}", _checked(path, name, archive.read(info)))
    except SourceError:
        raise
    # A wild archive or JSON leads to almost anything.
    except Exception as error:
        raise SourceError(f"{path}: damaged ({error!r}); copy it again") from error
    copy.seek(0)
    return copy


def _checked(path: Path, name: str, data: bytes) -> bytes:
    if not _KNOWN.fullmatch(name):
        raise _refused(path, f"the entry {name!r}")
    if not name.endswith(".json"):
        return data
    parsed = json.loads(data)
    if name.startswith("models/"):
        _check_program(path, parsed)
    else:
        _check_payloads(path, parsed)
    # Written anew, so that torch reads what was checked.
    return json.dumps(parsed).encode()


def _check_payloads(path: Path, config: Any) -> None:
    for name, entry in config["config"].items():
        if not re.fullmatch(r"(weight|tensor)_\d+", entry["path_name"]):
            raise _refused(path, f"the constant {name!r}, which is no tensor")


def _check_program(path: Path, program: Any) -> None:
    for guard in program.get("guards_code") or ():
        if not _only_computes_sizes(guard):
            raise _refused(path, f"the guard {guard!r}")
    checked = {key: value for key, value in program.items() if key != "guards_code"}
    for key, text in _strings(checked):
        if not _is_known(key, text):
            raise _refused(path, f"{key} {text!r}")
    for node in program["graph_module"]["graph"]["nodes"]:
        if not _OPERATION.fullmatch(node["target"]):
            raise _refused(path, f"the operation {node['target']!r}")


def _is_known(key: str, text: str) -> bool:
    if key in _FREE_TEXT:
        return _IMPORTING not in text
    if key == "expr_str":
        return _only_computes_sizes(text)
    return bool((_IDENTIFIER if key == "name" else _NAME).fullmatch(text))


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every string of a JSON value with its key; what is below free text has the key of that."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each, key)
    elif isinstance(value, dict):
        for inner, each in value.items():
            yield key if key in _FREE_TEXT else "key", inner
            yield from _strings(each, key if key in _FREE_TEXT else inner)


def _only_computes_sizes(code: str) -> bool:
    """Whether it is arithmetic, such as `L['x'].size()[0] >= 1` or `Symbol('s77')`."""
    try:
        nodes = list(ast.walk(ast.parse(code.strip(), mode="eval")))
    except (SyntaxError, ValueError):
        return False
    words = {node.id for node in nodes if isinstance(node, ast.Name)}
    words |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    texts = {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    return (
        all(isinstance(node, _EXPRESSION) for node in nodes)
        and all(word in _WORDS or _VARIABLE.fullmatch(word) for word in words)
        and all(_NAME.fullmatch(text) for text in texts)
    )


def _refused(path: Path, what: str) -> SourceError:
    return SourceError(
        f"{path}: holds {what}, which mobilecv does not know from torch.export's image "
        "classifiers and which might run code; give a state dict and --architecture"
    )
