"""SavedModel folders: one signature of theirs, frozen, as a source."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mobilecv.captures.tensorflow import freeze, tensorflow_module
from mobilecv.sources.base import SourceDescription, StatedInput
from mobilecv.sources.keras.framework import limit_threads
from mobilecv.sources.keras.saved_model_files import (
    check_saved_model,
    has_reference_variables,
    signature_names,
)
from mobilecv.sources.keras.source import KerasSource
from mobilecv.sources.loading import NOTHING_STATED, LoadOptions
from mobilecv_runtime.errors import SourceError, guest

_SIGNATURE: Final = "serving_default"
_PASSED_OVER: Final = frozenset({"Identity", "Cast", "Pad", "PadV2", "StopGradient"})
_ARITHMETIC: Final = frozenset({"Mul", "Sub", "Add", "AddV2", "RealDiv", "BiasAdd"})


class SavedModelSource(KerasSource):
    """A SavedModel's signature; the graph answers under TensorFlow, and no Python is run."""

    def __init__(self, network: SignatureNetwork, name: str) -> None:
        """Take a frozen signature.

        Args:
            network: The signature.
            name: What messages call it.
        """
        super().__init__(network, name)
        self._network = network

    @classmethod
    def load(
        cls, path: Path, loading: LoadOptions = NOTHING_STATED, threads: int | None = None
    ) -> SavedModelSource:
        """Load a folder.

        Args:
            path: A SavedModel folder, of TensorFlow 1 or 2.
            loading: What the user states.
            threads: How many threads TensorFlow may use; None for its default.

        Raises:
            SourceError: If it is damaged, holds operations that touch the machine, or has no
                signature from one image to one row of scores.
            UsageError: If an architecture is stated.
            MissingDependencyError: If TensorFlow is not installed.
        """
        check_saved_model(path, loading)
        name = _chosen(path)
        limit_threads(threads)
        tensorflow = tensorflow_module()
        try:
            network = _frozen(path, name)
            _refuse_state(network.definition, str(path))
            return cls(network, str(path))
        except SourceError:
            raise
        # TensorFlow raises whatever the folder leads to.
        except Exception as error:
            message = " ".join(str(error).split())[:300]
            raise SourceError(
                f"{path}: TensorFlow {tensorflow.__version__} cannot load it: {message}"
            ) from error

    def describe(self, stated: StatedInput) -> SourceDescription:
        """See `SourceModel.describe`."""
        return dataclasses.replace(
            super().describe(stated),
            framework="tensorflow",
            normalises=tuple(_normalising_operations(self._network)),
            tools={"tensorflow": tensorflow_module().__version__},
        )


@dataclass(frozen=True, kw_only=True)
class SignatureNetwork:
    """A frozen graph that is called as a Keras model is."""

    definition: Any
    """Its GraphDef, without variables and functions."""
    inputs: tuple[Any, ...]
    """The one tensor that takes the image."""
    outputs: tuple[Any, ...]
    """The one tensor that gives the scores."""

    @property
    def layers(self) -> tuple[Any, ...]:
        """None; a graph knows operations only."""
        return ()

    def __call__(self, image: Any, *, training: bool = False) -> Any:
        """The scores of a batch, traced into the graph of the caller."""
        del training
        tensorflow = tensorflow_module()
        (given,), (wanted,) = self.inputs, self.outputs
        (scores,) = tensorflow.graph_util.import_graph_def(
            self.definition,
            input_map={given.name: tensorflow.cast(image, given.dtype)},
            return_elements=[wanted.name],
            name="",
        )
        return scores


def _chosen(path: Path) -> str:
    names = signature_names(path)
    if _SIGNATURE in names:
        return _SIGNATURE
    if len(names) == 1:
        return names[0]
    raise SourceError(
        f"{path}: its signatures are {', '.join(names) or 'none'}; expected {_SIGNATURE}, as "
        "model.export(...) of Keras and tf.saved_model.save write it"
    )


def _frozen(path: Path, signature: str) -> SignatureNetwork:
    if has_reference_variables(path):
        return _frozen_in_session(path, signature)
    return _frozen_function(path, signature)


def _frozen_function(path: Path, signature: str) -> SignatureNetwork:
    tensorflow = tensorflow_module()
    loaded = tensorflow.saved_model.load(str(path))
    function = loaded.signatures[signature]
    _, inputs = function.structured_input_signature
    key, wanted = _ends(inputs, function.structured_outputs, str(path))
    given = inputs[key]
    spec = tensorflow.TensorSpec((None, *given.shape[1:]), given.dtype, name="image")
    traced = tensorflow.function(lambda image: function(**{key: image})[wanted], autograph=False)
    frozen = freeze(traced.get_concrete_function(spec))
    return SignatureNetwork(
        definition=frozen.definition, inputs=frozen.inputs, outputs=frozen.outputs
    )


def _frozen_in_session(path: Path, signature: str) -> SignatureNetwork:
    """As TensorFlow 1 did it: its reference variables cannot be frozen in a function."""
    v1 = tensorflow_module().compat.v1
    with v1.Graph().as_default() as graph, v1.Session() as session:
        loaded = v1.saved_model.load(session, [v1.saved_model.tag_constants.SERVING], str(path))
        ends = loaded.signature_def[signature]
        inputs, outputs = (
            {key: graph.get_tensor_by_name(info.name) for key, info in side.items()}
            for side in (ends.inputs, ends.outputs)
        )
        key, wanted = _ends(inputs, outputs, str(path))
        convert = guest("tensorflow.python.framework.convert_to_constants", extra="keras")
        definition = convert.convert_variables_to_constants_from_session_graph(
            session, graph.as_graph_def(), [outputs[wanted].op.name]
        )
    return SignatureNetwork(
        definition=definition, inputs=(inputs[key],), outputs=(outputs[wanted],)
    )


def _ends(inputs: Any, outputs: Any, name: str) -> tuple[str, str]:
    """The names of the image and of the row of scores among a signature's tensors.

    Raises:
        SourceError: If there is not one of each.
    """
    if len(inputs) != 1:
        raise SourceError(f"{name}: its signature takes {_listed(inputs)}; expected one image")
    ((key, given),) = inputs.items()
    if given.shape.rank != 4 or not (given.dtype.is_floating or given.dtype.is_integer):
        raise SourceError(
            f"{name}: its signature takes {_listed(inputs)}; expected one image, "
            "(batch, height, width, 1 or 3)"
        )
    if given.shape[0] is not None:
        raise SourceError(
            f"{name}: its signature takes {given.shape[0]} images at a time; save it for a batch "
            "of any size"
        )
    rows = [
        each
        for each, tensor in outputs.items()
        if tensor.dtype.is_floating and tensor.shape.rank == 2
    ]
    if len(rows) != 1:
        raise SourceError(
            f"{name}: its signature gives {_listed(outputs)}; expected one row of scores, "
            "(batch, classes)"
        )
    return key, rows[0]


def _refuse_state(definition: Any, name: str) -> None:
    """Stateful operations that are left after freezing answer differently each time."""
    registry = guest("tensorflow.python.framework.op_def_registry", extra="keras")
    stateful = sorted(
        {
            node.op
            for node in definition.node
            if node.op != "Placeholder" and registry.get(node.op).is_stateful
        }
    )
    if stateful:
        raise SourceError(
            f"{name}: its graph keeps state in {', '.join(stateful)}; export the network for "
            "inference, from an image to its scores"
        )


def _listed(tensors: Any) -> str:
    told = [f"{key} ({each.dtype.name} {each.shape})" for key, each in tensors.items()]
    return ", ".join(told) or "nothing"


def _normalising_operations(network: SignatureNetwork) -> Iterator[str]:
    """The arithmetic between the input and the first operation with weights, and a uint8 input.

    Scales and means are constants, so what combines the image with constants alone is one.
    """
    (given,) = network.inputs
    if not given.dtype.is_floating:
        yield f"{given.dtype.name} input"
    reached, constant = {given.op.name}, set[str]()
    waiting = list(network.definition.node)
    while True:
        left = []
        for node in waiting:
            # "^name" only orders two operations, and carries no value.
            sources = {each.partition(":")[0] for each in node.input if each[0] != "^"}
            if node.op == "Const" or (sources and sources <= constant):
                constant.add(node.name)
            elif sources & reached and sources <= reached | constant:
                if node.op in _ARITHMETIC:
                    yield node.name
                if node.op in _ARITHMETIC | _PASSED_OVER:
                    reached.add(node.name)
            else:
                left.append(node)
        if len(left) == len(waiting):  # A frozen graph is in no order, so it takes several rounds.
            return
        waiting = left
