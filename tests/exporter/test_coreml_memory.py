from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest

from conversions import Conversions
from mobilecv.targets import coreml, coreml_memory
from mobilecv.targets.coreml_memory import few_copies

# coremltools leaves a temporary folder to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def network() -> Any:
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(16, 3, padding="same")(image)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, strides=2, activation="relu")(x)
    x = layers.Conv2DTranspose(12, 2)(x)
    x = layers.Flatten()(x)
    return keras.Model(
        image, layers.Dense(5, activation="softmax")(layers.Dense(24, activation="tanh")(x))
    )


@pytest.fixture(scope="module")
def conversions(tmp_path_factory: pytest.TempPathFactory) -> Conversions:
    return Conversions(network(), tmp_path_factory.mktemp("net"))


def written(output: Path) -> dict[str, bytes]:
    """The bytes of all files of an artifact."""
    files = [output] if output.is_file() else sorted(output.rglob("*"))
    return {
        path.relative_to(output.parent).as_posix(): path.read_bytes()
        for path in files
        if path.is_file()
    }


@pytest.mark.parametrize("target", ["coreml", "mlpackage"])
def test_with_few_copies_the_file_is_the_same(
    target: str, conversions: Conversions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(coreml, "few_copies", lambda _: nullcontext())
        expected = written(conversions.convert(target))
    monkeypatch.setattr(coreml_memory, "LARGE", 64)
    assert written(conversions.convert(target)) == expected


def test_all_that_is_replaced_is_still_there_and_used(
    conversions: Conversions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With coremltools as it is pinned; without these places the memory would be back."""
    used: set[str] = set()
    replaced = coreml_memory.replaced

    def noting(owner: Any, names: dict[str, Any]) -> Any:
        def noted(name: str, value: Any) -> Any:
            function = value.__func__ if isinstance(value, staticmethod) else value

            def call(*arguments: Any, **options: Any) -> Any:
                used.add(name)
                return function(*arguments, **options)

            return staticmethod(call) if isinstance(value, staticmethod) else call

        return replaced(owner, {name: noted(name, value) for name, value in names.items()})

    monkeypatch.setattr(coreml_memory, "replaced", noting)
    monkeypatch.setattr(coreml_memory, "LARGE", 64)
    conversions.convert("coreml")
    conversions.convert("mlpackage")
    # The dense layers are matrix products here, and no `add_inner_product`.
    assert used == {
        "__str__",
        "const_determined_nodes",
        "fp16_overflow",
        "add_convolution",
        "add_batched_mat_mul",
        "_save_spec",
        "_load_spec",
        "get_spec",
    }


@pytest.fixture
def builders() -> Callable[[], Any]:
    features = [("image", ct.models.datatypes.Array(4))], [("scores", None)]
    return lambda: ct.models.neural_network.NeuralNetworkBuilder(
        *features, disable_rank5_shape_mapping=True, use_float_arraytype=True
    )


def add_convolution(builder: Any, weights: np.ndarray, *, is_deconvolution: bool) -> None:
    height, width, inputs, outputs = weights.shape
    builder.add_convolution(
        "layer", inputs, outputs, height, width, 1, 1, "valid", 1, weights,
        np.ones(outputs, np.float32), True, is_deconvolution, None, "image", "scores",
    )  # fmt: skip


def add_inner_product(builder: Any, weights: np.ndarray) -> None:
    outputs, inputs = weights.shape
    bias = np.ones(outputs, np.float32)
    builder.add_inner_product("layer", weights, bias, inputs, outputs, True, "image", "scores")


def add_matrix_product(builder: Any, weights: np.ndarray) -> None:
    rows, columns = weights.shape
    builder.add_batched_mat_mul(
        name="layer",
        input_names=["image"],
        output_name="scores",
        weight_matrix_rows=rows,
        weight_matrix_columns=columns,
        W=weights,
    )


@pytest.mark.parametrize(
    ("add", "shape"),
    [
        (lambda builder, weights: add_convolution(builder, weights, is_deconvolution=False),
         (3, 2, 4, 5)),
        (lambda builder, weights: add_convolution(builder, weights, is_deconvolution=True),
         (3, 2, 4, 5)),
        (add_inner_product, (5, 4)),
        (add_matrix_product, (4, 5)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_view", [False, True])
def test_a_layer_is_the_same_with_its_weights_filled_at_once(
    add: Callable[[Any, np.ndarray], None],
    shape: tuple[int, ...],
    is_view: bool,
    builders: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(coreml_memory, "LARGE", 64)
    weights = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    if is_view:
        weights = np.ascontiguousarray(weights.T).T
    before = weights.copy()
    slowly, at_once = builders(), builders()
    add(slowly, weights)
    with few_copies("pytorch"):
        add(at_once, weights)
    assert at_once.spec.SerializeToString() == slowly.spec.SerializeToString()
    np.testing.assert_array_equal(weights, before)
    assert type(weights) is np.ndarray


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], False),
        ([1.0, -65504.0], False),
        ([[1.0, 2.0], [-65505.0, 3.0]], True),
        ([np.inf, -np.inf, 1e38, 5.0], False),
        (70000.0, True),
        (3.0, False),
    ],
)
def test_numbers_too_large_for_float16_are_found(values: Any, expected: bool) -> None:
    assert coreml_memory._overflows(np.array(values, np.float32)) == expected


def test_without_any_of_these_places_it_converts_as_before(
    conversions: Conversions, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = written(conversions.convert("coreml"))
    monkeypatch.setattr(coreml_memory, "module_or_none", lambda _: None)
    assert written(conversions.convert("coreml")) == expected
