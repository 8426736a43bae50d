"""Makes TFLite models of PyTorch programs with litert-torch."""

from __future__ import annotations

from typing import Any

from mobilecv.captures import TorchProgram
from mobilecv_runtime.errors import ConversionError, guest, in_one_line
from mobilecv_runtime.spec import Contract


def from_torch(program: TorchProgram, contract: Contract) -> bytes:
    """Convert a captured program.

    Returns:
        A flatbuffer from one image, (1, height, width, channels), float32, to scores.

    Raises:
        ConversionError: If litert-torch fails.
    """
    torch = guest("torch", extra="torch")
    litert_torch = guest("litert_torch", extra="torch")
    # Channels last, as apps have them: litert-torch then needs no transposes for plain convnets.
    module = program.wrapped(contract, layout="rows")
    _keep_rank_of_means(module.network)
    # litert-torch 0.10 fixes the batch.
    image = torch.zeros(1, *contract.image.shape)
    try:
        return bytes(litert_torch.convert(module, (image,)).model_content())
    # litert-torch raises whatever its passes raise.
    except Exception as error:
        raise ConversionError(
            f"litert-torch {litert_torch.__version__}: {in_one_line(error)}"
        ) from error


def _keep_rank_of_means(network: Any) -> None:
    """Take the means over rows and columns in four dimensions, and drop two of them behind.

    litert-torch 0.10 moves a network's operations to channels last as long as their rank stays
    four; a global pooling written as `x.mean((2, 3))` cost it a transpose of the whole map.
    """
    aten = guest("torch", extra="torch").ops.aten
    for node in network.graph.find_nodes(op="call_function", target=aten.mean.dim):
        if _drops_rows_and_columns(node):
            with network.graph.inserting_before(node):
                mean = network.graph.call_function(aten.mean.dim, (*node.args[:2], True))
                flat = network.graph.call_function(aten.flatten.using_ints, (mean, 1))
            node.replace_all_uses_with(flat)
            network.graph.erase_node(node)
    network.recompile()


def _drops_rows_and_columns(node: Any) -> bool:
    source, dimensions, *rest = node.args
    rank = source.meta["val"].ndim
    keeps = bool(rest and rest[0]) or bool(node.kwargs)
    return rank == 4 and not keeps and sorted(axis % rank for axis in dimensions) == [2, 3]
