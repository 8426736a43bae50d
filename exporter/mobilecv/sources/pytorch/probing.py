"""One image through a network: how many values it gives, and which operation gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mobilecv_runtime.errors import SourceError, guest
from mobilecv_runtime.heads import HeadKind

# Base names of ATen operations, see aten/src/ATen/native/native_functions.yaml.
_PASSED_OVER: Final = frozenset(
    {
        "view", "_unsafe_view", "reshape", "_reshape_alias", "squeeze", "unsqueeze", "flatten",
        "detach", "alias", "clone", "contiguous", "_to_copy", "to", "lift_fresh",
    }
)  # fmt: skip
_LINEAR: Final = frozenset(
    {
        "linear", "addmm", "mm", "matmul", "bmm", "baddbmm", "einsum", "convolution",
        "_convolution", "conv2d", "mean", "adaptive_avg_pool2d", "_adaptive_avg_pool2d",
        "avg_pool2d", "add", "add_", "sub", "mul", "mul_", "div", "div_", "native_batch_norm",
        "_native_batch_norm_legit_no_training",
    }
)  # fmt: skip
_BY_NAME: Final[Mapping[str, HeadKind]] = {
    "softmax": "softmax", "_softmax": "softmax",
    # The softmax of log-probabilities are the probabilities.
    "log_softmax": "logits", "_log_softmax": "logits",
}  # fmt: skip
_RANDOM: Final = frozenset(
    {
        "native_dropout", "bernoulli", "bernoulli_", "rand", "rand_like", "randn", "randn_like",
        "randint", "randperm", "normal", "normal_", "uniform", "uniform_", "multinomial",
    }
)  # fmt: skip
_BATCH_NORMS: Final = frozenset({"native_batch_norm", "_native_batch_norm_legit"})


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What one image showed."""

    outputs: int
    head: HeadKind | None
    """None where the last operation tells of none."""
    last_operation: str


def probe(module: Any, shape: tuple[int, int, int], name: str) -> Probe:
    """Run one image of middle gray.

    Args:
        module: A `torch.nn.Module` in eval mode.
        shape: (channels, height, width).
        name: What messages call it.

    Raises:
        SourceError: If the network cannot take it, gives anything but one row of values, or
            answers otherwise each time.
    """
    torch = guest("torch", extra="torch")
    traced = _Trace()
    try:
        with torch.no_grad(), traced.mode():
            given = module(torch.zeros(1, *shape))
    # The network at fault raises anything.
    except Exception as error:
        size = "x".join(map(str, (1, *shape)))
        message = " ".join(str(error).split())[-300:]
        raise SourceError(
            f"{name}: fails on an image of shape {size}: {type(error).__name__}: {message}; if "
            "that is not its input, pass --size (and --color GRAY for one channel)"
        ) from error
    outputs = _row(torch, given, name)
    traced.refuse_training(name)
    operation, dim = traced.last(given)
    head = _head(operation, dim, outputs)
    if head == "logits" and _are_probabilities(given):
        # A softmax written by hand ends in a division; another one on top would flatten it.
        head = None
    return Probe(outputs=outputs, head=head, last_operation=operation)


def _row(torch: Any, given: Any, name: str) -> int:
    if not isinstance(given, torch.Tensor):
        raise SourceError(
            f"{name}: gives {_kind(given)}; expected one tensor of shape (batch, classes): wrap "
            "the network in a torch.nn.Module that gives the scores alone"
        )
    if given.ndim != 2 or given.shape[0] != 1 or not given.is_floating_point():
        raise SourceError(
            f"{name}: gives {given.dtype} of shape {tuple(given.shape)} for one image; expected "
            "one row of scores, (1, classes)"
        )
    return int(given.shape[1])


def _kind(given: Any) -> str:
    if isinstance(given, Mapping):
        return f"a dictionary of {', '.join(map(str, given))}"
    if isinstance(given, tuple | list):
        shapes = [str(tuple(getattr(each, "shape", ("?",)))) for each in given]
        return f"{len(given)} values ({', '.join(shapes)})"
    return f"a {type(given).__name__}"


def _head(operation: str, dim: object, outputs: int) -> HeadKind | None:
    if operation == "sigmoid":
        return "sigmoid" if outputs == 1 else None
    if outputs == 1:
        return None
    if operation in _BY_NAME:
        return _BY_NAME[operation] if dim in (1, -1) else None
    return "logits" if operation in _LINEAR else None


def _are_probabilities(row: Any) -> bool:
    return bool((row >= 0).all()) and abs(float(row.sum()) - 1) < 1e-4


class _Trace:
    """Watches which operation made which tensor."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[str, tuple[Any, ...]]] = {}
        self._kept: list[Any] = []  # so that no tensor takes the id of an earlier one
        self._training: list[str] = []

    def mode(self) -> Any:
        """A context in which every operation of PyTorch is watched."""
        return _watching(self._see)

    def last(self, tensor: Any) -> tuple[str, object]:
        """The operation that gave a tensor, but for reshapes, and its second argument."""
        name, arguments = self._made.get(id(tensor), ("nothing", ()))
        while name in _PASSED_OVER and arguments and id(arguments[0]) in self._made:
            name, arguments = self._made[id(arguments[0])]
        return name, arguments[1] if len(arguments) > 1 else None

    def refuse_training(self, name: str) -> None:
        """Raise if something behaved as in training although the network is in eval mode."""
        if self._training:
            raise SourceError(
                f"{name}: behaves as in training: {self._training[0]}; call eval() before "
                "torch.jit.trace or torch.export, and give F.dropout training=self.training"
            )

    def _see(self, operation: str, arguments: tuple[Any, ...], result: Any) -> None:
        self._kept.append((arguments, result))
        first = result[0] if isinstance(result, tuple | list) and result else result
        # An operation in place gives its own argument: what made that is of no interest any more.
        self._made[id(first)] = (operation, arguments)
        if operation in _RANDOM:
            self._training.append(f"it draws random numbers ({operation})")
        if _is_batch_norm_in_training(operation, arguments):
            self._training.append(f"{operation} takes the statistics of the batch")


def _is_batch_norm_in_training(operation: str, arguments: tuple[Any, ...]) -> bool:
    """Without running statistics it is an instance normalisation, which is always computed so."""
    if operation not in _BATCH_NORMS or len(arguments) < 6:
        return False
    return arguments[3] is not None and arguments[5] is True


def _watching(see: Callable[[str, tuple[Any, ...], Any], None]) -> Any:
    dispatch = guest("torch.utils._python_dispatch", extra="torch")

    class Watching(dispatch.TorchDispatchMode):  # type: ignore[misc,name-defined]
        def __torch_dispatch__(
            self,
            function: Any,
            types: Any,
            args: tuple[Any, ...] = (),
            kwargs: dict[str, Any] | None = None,
        ) -> Any:
            del types
            result = function(*args, **(kwargs or {}))
            see(function.overloadpacket.__name__, args, result)
            return result

    return Watching()
