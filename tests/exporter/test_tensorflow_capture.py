from __future__ import annotations

from pathlib import Path

import numpy as np

from mobilecv.captures import TensorFlowGraph
from mobilecv.captures.tensorflow import freeze
from mobilecv_runtime.spec import PRESETS, Contract, Head, ImageInput, Labels

CONTRACT = Contract(
    image=ImageInput(height=2, width=2, channels=3),
    preprocessing=PRESETS["tf"],
    head=Head(kind="logits"),
    labels=Labels(("a", "b", "c")),
)


def test_a_network_may_use_the_names_that_we_add(tmp_path: Path) -> None:
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, (None, 2, 2, 3), name="image")
        doubled = tf.multiply(tf.cast(image, tf.float32, name="Cast"), 2.0, name="mul")
        values = tf.reshape(tf.add(doubled, 1.0, name="add"), (-1, 12), name="probabilities")
        scores = tf.identity(values[:, :3], name="network")
    path = tmp_path / "graph.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())

    capture = TensorFlowGraph(path=path, input=image.name, output=scores.name)
    made = capture.wrapped(CONTRACT, batch=1, dtype="float32")
    with tf.Graph().as_default() as wrapped:
        tf.graph_util.import_graph_def(made.definition, name="")
        pixels = np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3)
        with tf.compat.v1.Session(graph=wrapped) as session:
            given = session.run(made.scores.name, {made.image.name: pixels})

    logits = 2 * (pixels.ravel()[:3] / 127.5 - 1) + 1
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(given[0], expected, rtol=1e-6)


def test_freezing_leaves_what_tensorflow_leaves_without_making_a_function_of_it() -> None:
    import tensorflow as tf
    from tensorflow.python.framework import convert_to_constants

    kernel = tf.Variable(np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32)])
    def network(image: tf.Tensor) -> tf.Tensor:
        tf.shape(image)  # Leads nowhere.
        return tf.nn.relu(tf.function(lambda values: values @ kernel)(image))

    # The place that is replaced: where it has another name, freezing takes ten times the memory.
    assert hasattr(convert_to_constants, "_construct_concrete_function")
    function = network.get_concrete_function()
    theirs = convert_to_constants.convert_variables_to_constants_v2(function)
    ours = freeze(function)
    left = {node.op for node in ours.definition.node}
    assert left <= {"Placeholder", "Const", "Identity", "MatMul", "Relu", "NoOp"}

    values = np.random.default_rng(1).normal(size=(2, 4)).astype(np.float32)
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(ours.definition, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            (given,), (wanted,) = ours.inputs, ours.outputs
            found = session.run(wanted.name, {given.name: values})
    np.testing.assert_array_equal(found, theirs(tf.constant(values))[0])
