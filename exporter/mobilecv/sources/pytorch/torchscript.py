"""TorchScript archives."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mobilecv.sources.pytorch.network import Network, settled
from mobilecv_runtime.errors import SourceError, guest


def load_torchscript(path: Path) -> Network:
    """Load what `torch.jit.save` wrote; it holds no Python code, only TorchScript.

    Raises:
        SourceError: If it cannot be loaded.
    """
    torch = guest("torch", extra="torch")
    try:
        script = torch.jit.load(str(path), map_location="cpu")
    # The reader raises RuntimeError and others.
    except Exception as error:
        message = " ".join(str(error).split())[:300]
        raise SourceError(f"{path}: torch.jit.load fails: {message}") from error
    module, notes = settled(script, str(path))
    return Network(
        module=module,
        notes=notes,
        channels=next(_channels(module), None),
        capturable=lambda shape: _as_module(module, shape, str(path)),
    )


def _channels(module: Any) -> Iterator[int]:
    """Of the images, told by the convolutions in the order of the network."""
    for part in module.modules():
        if getattr(part, "original_name", "") == "Conv2d" and hasattr(part, "weight"):
            yield int(part.weight.shape[1]) * int(getattr(part, "groups", 1))


def _as_module(script: Any, shape: tuple[int, int, int], name: str) -> Any:
    """The same network as torch.export knows it.

    The ways are tried from the most general result to the surest, and what comes out is held
    against the script: `TS2EPConverter`, which is private to torch (seen in 2.13), with two images,
    since it takes the sizes of its example for constants where the script does; with one; and last
    the operations that the script runs for one image, which also works where the converter knows an
    operation not (scripted attention).
    """
    torch = guest("torch", extra="torch")
    height, width, channels = shape
    failures = []
    for convert, count in ((_converted, 2), (_converted, 1), (_recorded, 1)):
        images = torch.rand(count, channels, height, width)
        try:
            with warnings.catch_warnings():
                # It warns of every buffer that answers do not need, such as num_batches_tracked.
                warnings.simplefilter("ignore")
                module = lenient(convert(script, images).module())
            if _agree(module, script, torch.rand(3 if count > 1 else 1, channels, height, width)):
                return module
            failures.append("it answers otherwise than the script")
        # The converter raises whatever the operation at fault leads to.
        except Exception as error:
            failures.append(" ".join(str(error).split())[:200])
    raise SourceError(
        f"{name}: torch's TorchScript converter fails: {failures[0]}; export the network with "
        "torch.export.save where it was built, or give a state dict and --architecture"
    )


def _converted(script: Any, images: Any) -> Any:
    converter = guest("torch._export.converter", extra="torch")
    return converter.TS2EPConverter(script, (images,)).convert()


def _recorded(script: Any, images: Any) -> Any:
    torch = guest("torch", extra="torch")
    tracing = guest("torch.fx.experimental.proxy_tensor", extra="torch")
    with torch.no_grad():
        recorded = tracing.make_fx(script, tracing_mode="real")(images)
    return torch.export.export(recorded, (images,))


def _agree(module: Any, script: Any, images: Any) -> bool:
    torch = guest("torch", extra="torch")
    with torch.inference_mode():
        return bool(torch.allclose(module(images), script(images), rtol=1e-3, atol=1e-4))


def lenient(module: Any) -> Any:
    """Let the module of an exported program be put into eval mode, which it is in for good.

    torch 2.13 raises NotImplementedError from its `eval()` and `train()`.
    """

    def stay(*_: object) -> Any:
        return module

    module.eval = module.train = stay
    return module
