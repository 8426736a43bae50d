"""Puts PyTorch networks into evaluation mode, also those whose mode was fixed by an export."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from mobilecv_runtime.errors import SourceError

_MODES: Final = ("train", "training", "use_input_stats")
"""What PyTorch's operators call the argument that says whether they run for training
(aten/src/ATen/native/native_functions.yaml)."""
_STATISTICS: Final = "running_mean"
_DROPOUTS: Final = frozenset(
    {"dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout"}
)
_NORMALISATIONS: Final = frozenset({"batch_norm", "instance_norm"})
_COUNTER: Final = "num_batches_tracked"


def to_evaluation_mode(module: Any) -> None:
    """Leave dropout out and normalise by the recorded statistics from now on.

    Args:
        module: A `torch.nn.Module`, or the `GraphModule` of a `torch.export.ExportedProgram`. The
            latter refuses `eval()`, so its operators' own arguments are changed.

    Raises:
        SourceError: If an exported program holds an operator in training mode that has no such
            argument.
    """
    try:
        module.eval()
    except NotImplementedError:
        _change_modes(module.graph)
        module.recompile()


def _change_modes(graph: Any) -> None:
    for node in list(graph.nodes):
        if _counts_batches(node):
            graph.erase_node(node)
        else:
            _change_mode(node)


def _change_mode(node: Any) -> None:
    arguments = dict(_arguments(node))
    mode = next((name for name in _MODES if arguments.get(name, (0, False))[1] is True), None)
    if mode is None or arguments.get(_STATISTICS, (0, ""))[1] is None:
        return  # Without recorded statistics, those of the input are all that there is.
    name = node.target._opname
    if name not in _DROPOUTS | _NORMALISATIONS:
        raise SourceError(
            f"the program was exported in training mode ({name}); call model.eval() before "
            "torch.export.export and save it again"
        )
    node.update_arg(arguments[mode][0], False)  # noqa: FBT003 - positional in torch.fx


def _arguments(node: Any) -> Iterator[tuple[str, tuple[int, Any]]]:
    """Name -> position and value of the arguments that an operator is called with."""
    schema = getattr(node.target, "_schema", None)
    if schema is not None:
        for position, (argument, value) in enumerate(
            zip(schema.arguments, node.args, strict=False)
        ):
            yield argument.name, (position, value)


def _counts_batches(node: Any) -> bool:
    """Whether it is the counter of batch normalisation, which an inference must not change."""
    if getattr(node.target, "_opname", "") != "add_":
        return False
    return str(node.args[0].target).endswith(_COUNTER)
