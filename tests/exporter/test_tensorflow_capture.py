from __future__ import annotations

from pathlib import Path

import numpy as np

from mobilecv.captures import TensorFlowGraph
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
