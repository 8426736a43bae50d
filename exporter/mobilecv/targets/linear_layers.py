"""Finds the linear layers of a TensorFlow graph, each with the factors that follow it.

Batch normalisation is a product and a sum behind a convolution there, and a converter multiplies
the kernel with the factors of the product.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from mobilecv.captures.tensorflow import tensorflow_module

_SUMS: Final = frozenset({"Add", "AddV2", "BiasAdd", "Sub"})
_BIASES: Final = _SUMS - {"Sub"}
_PRODUCTS: Final = frozenset({"Div", "Mul", "RealDiv"})
_NORMALISATIONS: Final = ("FusedBatchNorm", "BatchToSpace")
"""What a converter may turn into a product: the second ends a dilated convolution."""


@dataclass(frozen=True, kw_only=True)
class LinearLayer:
    """A convolution or dense layer whose kernel nothing else reads."""

    operation: Literal["Conv2D", "MatMul"]
    kernel: Any
    """The node of the constant: (inputs, outputs), or (height, width, inputs, outputs)."""
    bias: Any | None
    """The node that adds a constant to the layer's outputs."""
    product: Any | None
    """The node that multiplies them with a constant."""


def linear_layers(definition: Any, least_bytes: int) -> list[LinearLayer]:
    """The layers in whose kernel no converter has anything to change but by `product`.

    Args:
        definition: A GraphDef without variables, from a placeholder to scores.
        least_bytes: Kernels below this size are left out.

    Returns:
        `Conv2D` and `MatMul`, in the order of the graph.
    """
    graph = _Graph(definition)
    found = []
    for node in definition.node:
        kernel = graph.kernel(node, least_bytes)
        if kernel is not None and not graph.computes(node.input[0]):
            layer = graph.layer(node, kernel)
            if layer is not None:
                found.append(layer)
    return found


def fold_factors(definition: Any, layers: Sequence[LinearLayer]) -> list[NDArray[np.float32]]:
    """Take the products behind some layers out of their graph.

    Args:
        definition: Their GraphDef; it is changed. What was added is multiplied here, and the
            kernels are left to the caller.
        layers: What `linear_layers` found.

    Returns:
        What to multiply each kernel with, (outputs,) or (1,).
    """
    graph = _Graph(definition)
    products = [layer for layer in layers if layer.product is not None]
    factors = [graph.constant_operand(layer.product) for layer in products]
    biases = [graph.constant_operand(layer.bias) for layer in products if layer.bias is not None]
    values = _evaluated(definition, {*factors, *biases})
    folded = []
    for layer in layers:
        if layer.product is None:
            folded.append(np.ones(1, np.float32))
            continue
        factor = values[graph.constant_operand(layer.product)].reshape(-1)
        if layer.bias is not None:
            bias = values[graph.constant_operand(layer.bias)]
            graph.replace_constant(layer.bias, bias * factor)
        graph.pass_on(layer.product)
        folded.append(factor)
    return folded


class _Graph:
    """Who reads what in a GraphDef."""

    def __init__(self, definition: Any) -> None:
        self._definition = definition
        self._nodes = {node.name: node for node in definition.node}
        self._readers: dict[str, list[Any]] = defaultdict(list)
        for node in definition.node:
            for name in _tensors(node):
                self._readers[_node_name(name)].append(node)
        self._varying = self._behind(
            [node.name for node in definition.node if node.op == "Placeholder"]
        )

    def kernel(self, node: Any, least_bytes: int) -> Any | None:
        """The constant, of this size at least, that this node alone takes as its kernel."""
        if node.op == "MatMul":
            if node.attr["transpose_a"].b or node.attr["transpose_b"].b:
                return None
        elif node.op != "Conv2D" or node.attr["data_format"].s not in (b"", b"NHWC"):
            return None
        found = self._nodes[_node_name(node.input[1])]
        while found.op == "Identity":
            if len(self._readers[found.name]) > 1:
                return None
            found = self._nodes[_node_name(found.input[0])]
        float32 = tensorflow_module().float32.as_datatype_enum
        is_kernel = (
            found.op == "Const"
            and found.attr["dtype"].type == float32
            and len(found.attr["value"].tensor.tensor_content) >= least_bytes
            and len(self._readers[found.name]) == 1
        )
        return found if is_kernel else None

    def layer(self, node: Any, kernel: Any) -> LinearLayer | None:
        """The layer that begins here; None if more is multiplied behind it than can be taken."""
        outputs = kernel.attr["value"].tensor.tensor_shape.dim[-1].size
        last, bias, product = self._last_of_shape(node, outputs), None, None
        following = self._only_reader(last)
        if following is not None and following.op in _BIASES and self._has_constant(following):
            bias = following
            last = self._last_of_shape(bias, outputs)
            following = self._only_reader(last)
        if following is not None and following.op == "Mul" and self._has_constant(following):
            sizes = self._sizes(self.constant_operand(following))
            is_by_output = sizes in ([], [1], [outputs], [1, 1, 1, outputs])
            if is_by_output and self._sizes(following.name) == self._sizes(last.name):
                product = last = following
        if self._is_multiplied(last):
            return None
        return LinearLayer(operation=node.op, kernel=kernel, bias=bias, product=product)

    def computes(self, name: str) -> bool:
        """Whether a converter could move what this tensor comes from into the layer behind it."""
        node = self._nodes[_node_name(name)]
        return node.op in _SUMS | _PRODUCTS and self._has_constant(node)

    def constant_operand(self, node: Any) -> str:
        """The name of the tensor that does not depend on the image."""
        (name,) = self._constants(node)
        return name

    def replace_constant(self, node: Any, value: NDArray[np.float32]) -> None:
        """Let a node take another constant."""
        tf = tensorflow_module()
        added = self._definition.node.add(op="Const", name=f"{node.name}/folded")
        added.attr["dtype"].type = tf.float32.as_datatype_enum
        added.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
        index = list(node.input).index(self.constant_operand(node))
        node.input[index] = added.name

    def pass_on(self, node: Any) -> None:
        """Let a node return what it would compute with."""
        node.input.remove(self.constant_operand(node))
        node.op = "Identity"

    def _has_constant(self, node: Any) -> bool:
        return len(self._constants(node)) == 1

    def _constants(self, node: Any) -> list[str]:
        return [name for name in _tensors(node) if _node_name(name) not in self._varying]

    def _only_reader(self, node: Any) -> Any | None:
        readers = self._readers[node.name]
        return readers[0] if len(readers) == 1 else None

    def _last_of_shape(self, node: Any, outputs: int) -> Any:
        """What only arranges a layer's outputs, (..., outputs), anew, as far as it goes."""
        reader = self._only_reader(node)
        while reader is not None and reader.op == "Reshape":
            sizes = self._sizes(reader.name)
            if sizes is None or sizes[-1:] != [outputs] or reader.input[0] != node.name:
                break
            node, reader = reader, self._only_reader(reader)
        return node

    def _is_multiplied(self, node: Any) -> bool:
        """Whether a product with a constant follows, at once or behind sums with constants."""
        for reader in self._readers[node.name]:
            if reader.op.startswith(_NORMALISATIONS):
                return True
            if reader.op in _PRODUCTS and self._has_constant(reader):
                return True
            if reader.op in _SUMS and self._has_constant(reader) and self._is_multiplied(reader):
                return True
        return False

    def _sizes(self, name: str) -> list[int] | None:
        """The shape of a tensor, as far as the graph says it."""
        shapes = self._nodes[_node_name(name)].attr["_output_shapes"].list.shape
        if len(shapes) != 1 or shapes[0].unknown_rank:
            return None
        return [dimension.size for dimension in shapes[0].dim]

    def _behind(self, names: list[str]) -> set[str]:
        reached, ahead = set(names), list(names)
        while ahead:
            for reader in self._readers[ahead.pop()]:
                if reader.name not in reached:
                    reached.add(reader.name)
                    ahead.append(reader.name)
        return reached


def _tensors(node: Any) -> list[str]:
    """What a node reads, without those that it only waits for."""
    return [str(name) for name in node.input if not name.startswith("^")]


def _node_name(tensor: str) -> str:
    """The node that gives a tensor, `name` or `name:1`."""
    return tensor.partition(":")[0]


def _evaluated(definition: Any, names: set[str]) -> dict[str, NDArray[np.float32]]:
    """The values of tensors that do not depend on the image."""
    if not names:
        return {}
    tf = tensorflow_module()
    nodes = {node.name: node for node in definition.node}
    part = tf.compat.v1.GraphDef(versions=definition.versions)
    needed, ahead = set(), [_node_name(name) for name in names]
    while ahead:
        node = nodes[ahead.pop()]
        if node.name in needed:
            continue
        needed.add(node.name)
        read = _tensors(node)
        ahead += [_node_name(name) for name in read]
        added = part.node.add()
        added.CopyFrom(node)
        # In a SavedModel, constants may wait for the image.
        del added.input[:]
        added.input.extend(read)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(part, name="")
        tensors = {name: graph.get_tensor_by_name(_with_number(name)) for name in names}
        with tf.compat.v1.Session(graph=graph) as session:
            return dict(session.run(tensors))


def _with_number(name: str) -> str:
    return name if ":" in name else f"{name}:0"
