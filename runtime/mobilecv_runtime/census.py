"""The census of a network: what its layers multiply, store and give, and in which arithmetic.

A multiply-add is one product that is added up, in a convolution, a dense layer or a matrix product:
the count of the MobileNet paper (Howard et al. 2017, arXiv 1704.04861, table 8). Activations,
pooling, normalisation and element-wise products are not counted. All counts are for one image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

Arithmetic: TypeAlias = Literal["integer", "dynamic", "float16", "float32"]
"""`dynamic` rounds activations to integers while it runs, on ranges of that very image."""

DAMAGE: Final = (LookupError, ValueError, TypeError, AttributeError, OverflowError)
"""What it raises to follow the indices, shapes and names of a damaged file."""
INTEGER_SHARE: Final = 0.9
"""The share of the multiply-adds that has to run in integers for a file to be called int8."""
_NOTICEABLE: Final = 0.1
_CONVERSIONS: Final = ("DEQUANTIZE", "DequantizeLinear")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One operation of the graph."""

    name: str
    operation: str
    arithmetic: Arithmetic
    weights: str
    """How its weights are stored, such as `int8 per-channel`; empty if it has none."""
    activations: str
    """The data type that it works on, such as `int8`."""
    multiply_adds: int
    parameters: int
    """Weights, biases and other constants that it computes with."""
    output_bytes: int
    """What its results take; 0 where the engine never stores them."""


@dataclass(frozen=True, kw_only=True)
class Census:
    """Every layer of a network, and the sums."""

    layers: tuple[Layer, ...]
    peak_activation_bytes: int
    """The most that results need at one time, in the order of the file and without reuse inside of
    an operation."""
    uncounted: Mapping[str, int]
    """Operations that may multiply and are not understood, or whose shapes are not known."""

    @property
    def multiply_adds(self) -> int:
        """For one image."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def parameters(self) -> int:
        """Constants that the layers compute with."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def activation_bytes(self) -> int:
        """All results together, as if each had its own place."""
        return sum(layer.output_bytes for layer in self.layers)

    @property
    def shares(self) -> dict[Arithmetic, float]:
        """Arithmetic -> its share of the multiply-adds, the largest first."""
        counts: Counter[Arithmetic] = Counter()
        for layer in self.layers:
            counts[layer.arithmetic] += layer.multiply_adds
        return {name: n / self.multiply_adds for name, n in counts.most_common() if n}

    @property
    def integer_share(self) -> float:
        """The share of the multiply-adds that runs in integers; 0 without any."""
        return self.shares.get("integer", 0.0)

    @property
    def weights(self) -> dict[str, int]:
        """Storage of the multiplying layers' weights -> how many parameters have it."""
        counts: Counter[str] = Counter()
        for layer in self.layers:
            if layer.multiply_adds and layer.weights:
                counts[layer.weights] += layer.parameters
        return dict(counts.most_common())

    @property
    def float_operations(self) -> dict[str, int]:
        """Operations that give float results, and how often; dynamic ones are not among them."""
        counts = Counter(
            layer.operation
            for layer in self.layers
            if layer.arithmetic in ("float16", "float32")
            and layer.output_bytes
            and layer.operation not in _CONVERSIONS
        )
        return dict(counts.most_common())

    @property
    def kind(self) -> str:
        """What the file may be called, such as `int8`, `dynamic` or `float32`."""
        shares = self.shares
        rounded = self.integer_share + shares.get("dynamic", 0.0)
        if not shares:
            return "unknown"
        if self.integer_share >= INTEGER_SHARE:
            return "int8 with int16 activations" if self._is_wide() else "int8"
        if rounded >= INTEGER_SHARE:
            return "dynamic"
        if rounded >= _NOTICEABLE:
            return "mixed"
        stored = next(iter(self.weights), "float32").partition(" ")[0]
        if shares.get(stored, 0.0) >= INTEGER_SHARE:  # type: ignore[call-overload]
            return stored
        return f"{stored} weights"

    def record(self) -> dict[str, Any]:
        """What a manifest keeps."""
        return {
            "kind": self.kind,
            "multiply_adds": self.multiply_adds,
            "parameters": self.parameters,
            "shares": dict(self.shares),
            "weights": self.weights,
            "float_operations": self.float_operations,
        }

    def to_json(self, *, layers: bool) -> dict[str, Any]:
        """The census as JSON values, with or without each layer."""
        return {
            **self.record(),
            "activation_bytes": self.activation_bytes,
            "peak_activation_bytes": self.peak_activation_bytes,
            "uncounted": dict(self.uncounted),
            **({"layers": [asdict(layer) for layer in self.layers]} if layers else {}),
        }

    def _is_wide(self) -> bool:
        wide = sum(each.multiply_adds for each in self.layers if each.activations == "int16")
        return wide >= self.multiply_adds / 2


def peak_bytes(
    steps: Sequence[tuple[Sequence[str], Sequence[str]]],
    sizes: Mapping[str, int],
    kept: Sequence[str],
) -> int:
    """The largest sum of results that are needed at one time.

    Args:
        steps: (names read, names written) of every operation, in the order of the file.
        sizes: Name -> bytes; what is not in it (constants) takes nothing.
        kept: The graph's outputs, which are needed to the end.
    """
    last_use = {name: index for index, (reads, _) in enumerate(steps) for name in reads}
    last_use.update(dict.fromkeys(kept, len(steps)))
    written = {name for _, writes in steps for name in writes}
    alive = {name for reads, _ in steps for name in reads if name not in written}
    peak = 0
    for index, (_, writes) in enumerate(steps):
        alive.update(writes)
        peak = max(peak, sum(sizes.get(name, 0) for name in alive))
        alive = {name for name in alive if last_use.get(name, -1) > index}
    return peak
