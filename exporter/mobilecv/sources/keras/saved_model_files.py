"""SavedModel folders, looked at before TensorFlow is started for them.

Source: tensorflow/core/protobuf/{saved_model,meta_graph}.proto and
tensorflow/core/framework/{graph,node_def,function,tensor_shape}.proto of TensorFlow.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mobilecv.sources.loading import NOTHING_STATED, LoadOptions, refuse_architecture
from mobilecv_runtime.coreml.protobuf import Message, Schema
from mobilecv_runtime.digests import size_of
from mobilecv_runtime.errors import BundleError, SourceError
from mobilecv_runtime.inspection import Inspection, Tensor

GRAPH_FILE: Final = "saved_model.pb"
_INITIALISER: Final = "__saved_model_init_op"
_REFERENCE_VARIABLES: Final = frozenset({"VariableV2", "Variable"})
_VARIABLES: Final = _REFERENCE_VARIABLES | {"VarHandleOp"}
_TOUCHING: Final = re.compile(
    r"(Eager)?PyFunc(Stateless)?|ReadFile|WriteFile|MatchingFiles|PrintV2|Rpc\w*|TryRpc"
    r"|\w*Reader(V2)?|Reader\w+|\w*Dataset(V\d+)?|\w*Summary\w*|ImportEvent"
    r"|InitializeTableFromTextFile(V2)?|LoadTPU\w*|\w*Shell\w*"
)
"""Operations that run Python, open files or speak to the network. What saves and restores
variables is in every SavedModel and stays outside the graph that answers."""
_DATA_TYPES: Final = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 7: "string", 9: "int64",
                      14: "bfloat16", 19: "float16"}  # fmt: skip
_SCHEMA: Final[Schema] = {
    "SavedModel": {2: ("meta_graphs", "*MetaGraph")},
    "MetaGraph": {
        1: ("meta_info", "MetaInfo"),
        2: ("graph", "Graph"),
        5: ("signatures", "*SignatureEntry"),
    },
    "MetaInfo": {5: ("tensorflow_version", "string")},
    "Graph": {1: ("nodes", "*Node"), 2: ("library", "Library")},
    "Library": {1: ("functions", "*Function")},
    "Function": {3: ("nodes", "*Node")},
    "Node": {1: ("name", "string"), 2: ("operation", "string")},
    "SignatureEntry": {1: ("key", "string"), 2: ("value", "Signature")},
    "Signature": {1: ("inputs", "*TensorEntry"), 2: ("outputs", "*TensorEntry")},
    "TensorEntry": {1: ("key", "string"), 2: ("value", "TensorInfo")},
    "TensorInfo": {2: ("dtype", "int"), 3: ("shape", "Shape")},
    "Shape": {2: ("sizes", "*Size"), 3: ("unknown_rank", "int")},
    "Size": {1: ("size", "int")},
}


def is_saved_model(path: Path) -> bool:
    """Whether a path is a folder with a SavedModel in it, whole or damaged."""
    return (path / GRAPH_FILE).is_file()


def check_saved_model(path: Path, loading: LoadOptions = NOTHING_STATED) -> None:
    """Look at a folder before TensorFlow is started for it.

    Raises:
        SourceError: If it is empty, damaged, no SavedModel, or holds operations that run Python,
            open files or speak to the network.
        UsageError: If an architecture is stated.
    """
    operations = Counter(_operations(_graph(path)))
    touching = sorted(name for name in operations if _TOUCHING.fullmatch(name))
    if touching:
        raise SourceError(
            f"{path}: its graph holds {', '.join(touching)}, which can run code, open files or "
            "speak to the network; export the network alone, from an image to its scores"
        )
    index = path / "variables" / "variables.index"
    if operations.keys() & _VARIABLES and not index.is_file():
        raise SourceError(f"{path}: {index.relative_to(path)} is missing; copy the whole folder")
    refuse_architecture(path, "a SavedModel", loading)


def has_reference_variables(path: Path) -> bool:
    """Whether it holds variables as TensorFlow 1 made them by default.

    Raises:
        SourceError: If the folder is damaged.
    """
    return not _REFERENCE_VARIABLES.isdisjoint(_operations(_graph(path)))


def signature_names(path: Path) -> tuple[str, ...]:
    """The signatures that answer.

    Raises:
        SourceError: If the folder is damaged.
    """
    names = (name for name, _ in _graph(path).entries("signatures"))
    return tuple(name for name in names if name != _INITIALISER)


def inspect_saved_model(path: Path) -> Inspection:
    """Read signatures and operations, without starting TensorFlow.

    Raises:
        SourceError: If the folder is damaged.
    """
    graph = _graph(path)
    signatures = {name: each for name, each in graph.entries("signatures") if name != _INITIALISER}
    name = "serving_default" if "serving_default" in signatures else next(iter(signatures), None)
    signature = signatures.get(name) if name else None
    version = graph.message("meta_info").text("tensorflow_version") or "unknown"
    return Inspection(
        file=str(path),
        format=f"SavedModel, TensorFlow {version}",
        bytes=size_of(path),
        inputs=list(_tensors(signature, "inputs")) if signature else [],
        outputs=list(_tensors(signature, "outputs")) if signature else [],
        labels=None,
        contract=None,
        operations=dict(Counter(_operations(graph)).most_common()),
        data_types={},
        metadata={"signatures": ", ".join(signatures) or "none"},
    )


def _graph(path: Path) -> Message:
    """The first of the graphs, the one for inference."""
    file = path / GRAPH_FILE
    if not file.is_file():
        hint = "; it holds the text form, which cannot be loaded safely: save it anew" if (
            path / "saved_model.pbtxt"
        ).exists() else ""  # fmt: skip
        raise SourceError(
            f"{path}: a folder without {GRAPH_FILE}; a folder must be a SavedModel{hint}"
        )
    try:
        data = file.read_bytes()
        graphs = Message(memoryview(data), "SavedModel", _SCHEMA).messages("meta_graphs")
        if not graphs:
            raise SourceError(f"{file}: holds no graph; copy it again")
        for _ in _operations(graphs[0]):  # Damage shows when all of it is read.
            pass
    except OSError as error:
        raise SourceError(f"{file}: {(error.strerror or 'cannot be read').lower()}") from error
    except BundleError as error:
        raise SourceError(f"{file}: damaged ({error}); copy it again") from error
    return graphs[0]


def _operations(graph: Message) -> Iterator[str]:
    """Every operation's type, those of functions included."""
    inner = graph.message("graph")
    for part in (inner, *inner.message("library").messages("functions")):
        for node in part.messages("nodes"):
            yield node.text("operation")


def _tensors(signature: Message, ends: str) -> Iterator[Tensor]:
    for name, info in signature.entries(ends):
        shape = info.message("shape")
        sizes = [each.integer("size") for each in shape.messages("sizes")]
        words = "x".join("?" if size < 0 else str(size) for size in sizes) or "of any shape"
        dtype = _DATA_TYPES.get(info.integer("dtype"), f"type {info.integer('dtype')}")
        yield Tensor(name=name, type=f"{dtype} {words}")
