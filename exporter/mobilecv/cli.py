"""The command line: words in, a report and an exit code out; the only place that prints."""

from __future__ import annotations

import io
import json
import shutil
import signal
import sys
import traceback
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from mobilecv_runtime.errors import (
    EXIT_AGREES,
    EXIT_DEFECT,
    EXIT_INTERRUPTED,
    EXIT_PARITY_FAILED,
    BundleError,
    ConversionError,
    MobileCVError,
    UsageError,
)

if TYPE_CHECKING:
    from mobilecv.benchmarking import BenchReport
    from mobilecv.sources.loading import LoadOptions
    from mobilecv_runtime.report import Table

_HELP = """Put a trained image classifier onto phones, and know that it still answers right.

Exit codes: 0 all agrees; 1 a parity check failed, or no artifact could be run; 2 wrong usage;
3 unreadable source; 4 a conversion failed; 5 a package is missing; 6 damaged bundle or artifact;
7 unreadable photo; 8 the output exists or cannot be written; 9 a worker process died; 130
interrupted.
"""

app = typer.Typer(
    help=_HELP,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: drawing it with rich doubles its time
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Format(StrEnum):
    """How a report is printed."""

    TABLE = "table"
    MARKDOWN = "markdown"


_Json = Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")]
_Bundle = Annotated[
    Path | None,
    typer.Argument(help="The bundle folder. [default: the newest below the current folder]"),
]
_Architecture = Annotated[
    str | None,
    typer.Option(
        help="What builds the network for a file of weights: torchvision.models:NAME, timm:NAME, "
        "keras.applications:NAME, my_model.py:FUNCTION or package.module:FUNCTION, whose code is "
        "run, or for Keras a config, model.json."
    ),
]
_ArchitectureArgs = Annotated[
    str | None,
    typer.Option(help="""Its keyword arguments as JSON, such as '{"num_classes": 10}'."""),
]
_AllowPickle = Annotated[
    bool,
    typer.Option(
        "--allow-pickle",
        help="Let a PyTorch pickle run the code that it names: for files whose maker you trust.",
    ),
]
_CustomObjects = Annotated[
    str | None,
    typer.Option(
        help="Layers and functions that a Keras file names and Keras does not know: "
        "my_layers.py:MyLayer,Other or package.module:MyLayer; their code is run."
    ),
]
_AllowCode = Annotated[
    bool,
    typer.Option(
        "--allow-code",
        help="Let the Python code in a Keras file's Lambda layers run: for files whose maker you "
        "trust.",
    ),
]
_Format = Annotated[Format, typer.Option("--format", help="How to print the tables.")]


@app.command("export", short_help="Convert a model, check every file, write a bundle.")
def export_command(
    model: Annotated[
        Path,
        typer.Argument(
            help="The trained model: of Keras, .h5, .hdf5, .keras or .model, whole or weights; a "
            "SavedModel folder; of PyTorch, a state dict, TorchScript, torch.export program or "
            ".safetensors."
        ),
    ],
    architecture: _Architecture = None,
    architecture_args: _ArchitectureArgs = None,
    allow_pickle: _AllowPickle = False,
    custom_objects: _CustomObjects = None,
    allow_code: _AllowCode = False,
    to: Annotated[
        list[str] | None,
        typer.Option(
            help="A target, several with commas between, or 'all': coreml, mlpackage, "
            "mlpackage-int8, tflite, tflite-fp16, tflite-dynamic, tflite-int8, onnx, onnx-fp16, "
            "onnx-int8. Repeatable. [default: all]"
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The bundle folder. [default: <model>-mobilecv]"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier bundle.")] = False,
    labels: Annotated[
        Path | None,
        typer.Option(help="A label per line. [default: labels.txt beside the model]"),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="A folder of photos, for the value ranges of int8. [default: calibration beside "
            "the model]"
        ),
    ] = None,
    calibration_images: Annotated[
        int,
        typer.Option(min=1, help="How many of them to use, drawn with a fixed seed."),
    ] = 200,
    rescue: Annotated[
        bool,
        typer.Option(
            "--rescue/--no-rescue",
            help="Repair an int8 file that does not agree with its float twin.",
        ),
    ] = True,
    images: Annotated[
        Path | None,
        typer.Option(
            help="A folder of photos to keep golden images of. [default: the calibration photos, "
            "else generated patterns]"
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="What the model was trained to see: tf (scale 1/127.5, bias -1), unit (0..1), "
            "torch (ImageNet mean and std), caffe (BGR, mean subtracted), raw (0..255). "
            "[default: tf; for PyTorch what the architecture's makers say, else torch]"
        ),
    ] = None,
    scale: Annotated[
        str | None, typer.Option(help="pixel * scale + bias: one number or one per channel.")
    ] = None,
    bias: Annotated[str | None, typer.Option(help="Goes with --scale. [default: 0]")] = None,
    mean: Annotated[
        str | None, typer.Option(help="(pixel - mean) / std: one number or one per channel.")
    ] = None,
    std: Annotated[str | None, typer.Option(help="Goes with --mean.")] = None,
    pixel_range: Annotated[
        float | None,
        typer.Option(help="1 or 255: the pixels that mean and std belong to. [default: 1]"),
    ] = None,
    color: Annotated[
        str | None, typer.Option(help="RGB, BGR or GRAY. [default: from the model]")
    ] = None,
    fit: Annotated[
        str | None, typer.Option(help="crop, stretch or pad a photo. [default: crop]")
    ] = None,
    crop_fraction: Annotated[
        float | None, typer.Option(help="Share of the central crop to keep. [default: 1]")
    ] = None,
    resample: Annotated[
        str | None, typer.Option(help="bilinear, bicubic or nearest. [default: bilinear]")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="224 or HEIGHTxWIDTH, for a model that takes any or does not say."),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            help="softmax, sigmoid (one unit, two labels), multi-label (a sigmoid for each label), "
            "regression (plain values); logits, sigmoid-logits, multi-label-logits where the "
            "softmax or sigmoid is missing. [default: seen in the model]"
        ),
    ] = None,
    force_preprocessing: Annotated[
        bool,
        typer.Option("--force-preprocessing", help="Normalise though the model does so inside."),
    ] = False,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds that one conversion may take.")
    ] = None,
    app_folder: Annotated[
        list[Path] | None,
        typer.Option(
            "--app", help="A sample app to put the files into: ios_app, android_app. Repeatable."
        ),
    ] = None,
    as_json: _Json = False,
    format_: _Format = Format.TABLE,
) -> None:
    """Convert a model, check every file against it, and write the bundle."""
    from mobilecv import reports
    from mobilecv.options import ModelOptions, parse_numbers, parse_size
    from mobilecv.pipeline import ExportOptions, export

    def numbers(text: str | None, option: str) -> tuple[float, ...] | None:
        return None if text is None else parse_numbers(text, option)

    stated = ModelOptions(
        labels=labels,
        preset=preset,
        scale=numbers(scale, "--scale"),
        bias=numbers(bias, "--bias"),
        mean=numbers(mean, "--mean"),
        std=numbers(std, "--std"),
        pixel_range=pixel_range,
        color=color,
        fit=fit,
        crop_fraction=crop_fraction,
        resample=resample,
        size=None if size is None else parse_size(size),
        head=head,
        force_preprocessing=force_preprocessing,
    )
    options = ExportOptions(
        targets=_listed(to) or ["all"],
        output=output,
        calibration=calibration,
        calibration_images=calibration_images,
        rescue=rescue,
        images=images,
        force=force,
        timeout_s=timeout,
        apps=app_folder or (),
    )
    loading = _loading(
        architecture,
        architecture_args,
        custom_objects,
        allow_pickle=allow_pickle,
        allow_code=allow_code,
    )
    report = export(model, options, stated, _Narrator(), loading)
    if as_json:
        _print_json(reports.export_json(report))
    else:
        _print_table(reports.export_table(report), format_)
        for table in reports.rescue_tables(report):
            _print_table(table, format_)
        _say("\n".join(reports.export_lines(report)))
    if report.failures:
        raise typer.Exit(ConversionError.exit_code)
    differs = any(verdict.outcome == "differs" for verdict in report.verdicts.values())
    raise typer.Exit(EXIT_PARITY_FAILED if differs else EXIT_AGREES)


@app.command("verify", short_help="Hold every artifact against its source.")
def verify_command(
    bundle: _Bundle = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="A folder of photos to compare on as well; sub-folders named like the labels "
            "also give the accuracy."
        ),
    ] = None,
    source: Annotated[
        Path | None, typer.Option(help="The source model, if it has moved since the export.")
    ] = None,
    no_source: Annotated[
        bool,
        typer.Option("--no-source", help="Use the scores that were recorded at the export."),
    ] = False,
    architecture: _Architecture = None,
    architecture_args: _ArchitectureArgs = None,
    allow_pickle: _AllowPickle = False,
    custom_objects: _CustomObjects = None,
    allow_code: _AllowCode = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail if an artifact had to be skipped.")
    ] = False,
    emulate: Annotated[
        list[str] | None,
        typer.Option(
            help="What other resizers would cost on the photos: android, vision, opencv, tf."
        ),
    ] = None,
    as_json: _Json = False,
    format_: _Format = Format.TABLE,
) -> None:
    """Hold every artifact of a bundle against its source; exit code 1 if one differs."""
    from mobilecv import reports
    from mobilecv.verification import verify

    report = verify(
        _found(bundle),
        images=images,
        source=source,
        use_source=not no_source,
        progress=_Narrator(),
        loading=_loading(
            architecture,
            architecture_args,
            custom_objects,
            allow_pickle=allow_pickle,
            allow_code=allow_code,
        ),
        emulate=_listed(emulate),
    )
    if as_json:
        _print_json(report.to_json())
    else:
        _print_table(reports.verify_table(report), format_)
        if report.emulations:
            _say("")
            _print_table(reports.emulation_table(report), format_)
        _say("\n".join(reports.verify_lines(report)))
    fails = not report.agrees or (strict and bool(report.skipped))
    raise typer.Exit(EXIT_PARITY_FAILED if fails else EXIT_AGREES)


@app.command("bench", short_help="Time every artifact and the source.")
def bench_command(
    bundle: _Bundle = None,
    device: Annotated[str, typer.Option(help="Where to run: cpu.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Threads of one inference.")] = 1,
    runs: Annotated[int, typer.Option(help="How many inferences to time of each.")] = 50,
    architecture: _Architecture = None,
    architecture_args: _ArchitectureArgs = None,
    allow_pickle: _AllowPickle = False,
    custom_objects: _CustomObjects = None,
    allow_code: _AllowCode = False,
    as_json: _Json = False,
    format_: _Format = Format.TABLE,
) -> None:
    """Time every artifact and the source side by side; exit code 1 if no artifact could be run."""
    from mobilecv.benchmarking import benchmark

    narrator = _Narrator()
    report = benchmark(
        _found(bundle),
        device=device,
        threads=threads,
        runs=runs,
        progress=narrator,
        loading=_loading(
            architecture,
            architecture_args,
            custom_objects,
            allow_pickle=allow_pickle,
            allow_code=allow_code,
        ),
    )
    if as_json:
        _print_json(report.to_json())
    else:
        _print_bench(report, format_)
    if not report.has_artifacts:
        raise typer.Exit(EXIT_PARITY_FAILED)


def _print_bench(report: BenchReport, format_: Format) -> None:
    from mobilecv_runtime.report import bench_table
    from mobilecv_runtime.runners.coreml import EXECUTOR

    _print_table(bench_table(report.timings), format_)
    _say(
        f"{report.bundle} on {report.machine}, {report.threads} thread(s), one image at a time; "
        f"preparing a 1280x960 JPEG takes {report.preprocessing * 1e3:.1f} ms on top"
    )
    if any(getattr(timing, "engine", "") == EXECUTOR for timing in report.timings):
        _say(f"Core ML files were run by {EXECUTOR}: no measure of a phone.")
    if report.is_noisy:
        _say("The machine was busy: rounds spread by more than 20 %, so trust ratios, not times.")
    if not report.has_artifacts:
        _say("Nothing was timed: no artifact could be run.")


class AppId(StrEnum):
    """The sample apps."""

    IOS = "ios"
    ANDROID = "android"


@app.command("app", short_help="Write an iOS or Android project with the model inside.")
def app_command(
    kind: Annotated[AppId, typer.Argument(help="ios or android.")],
    bundle: _Bundle = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The project's folder. [default: <model>-<kind>]"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier project.")] = False,
    as_json: _Json = False,
) -> None:
    """Write a project for Xcode or Android Studio, with the model, labels and name inside."""
    from mobilecv.apps import APPS, write_app
    from mobilecv_runtime.bundle import Bundle

    opened = Bundle.open(_found(bundle))
    folder = output or Path(f"{opened.manifest.name}-{kind}")
    project = write_app(APPS[kind], opened, folder, force=force)
    if as_json:
        _print_json(project.to_json())
        return
    _say(
        f"Wrote {folder}, with the model in {project.model_folder}; "
        f"how to open it: {project.readme}"
    )


@app.command("classify", short_help="Print the labels of a photo.")
def classify_command(
    photo: Annotated[Path, typer.Argument(help="An image file.")],
    artifact: Annotated[
        str | None,
        typer.Option(help="An artifact file, or the id of one in the bundle."),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="The bundle. [default: the newest below the current folder]"),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many labels to print. [default: 5; of a multi-label model those of 50 % and "
            "more]",
        ),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Print the most probable labels of a photo, or the values of a regression."""
    from mobilecv_runtime.classifier import Classifier

    if artifact is not None and Path(artifact).exists():
        classifier = Classifier(artifact)
    else:
        classifier = Classifier(_found(bundle), artifact=artifact)
    if classifier.gives_values:
        if top is not None:
            raise UsageError("--top ranks labels, but this model gives values; leave --top out")
        values = classifier.values(photo)
        found = {"values": [vars(value) for value in values]}
        lines = [(value.name, f"{value.value:.6g}") for value in values]
    else:
        predictions = classifier.classify(photo, top=top)
        found = {"predictions": [vars(prediction) for prediction in predictions]}
        lines = [(each.label, f"{each.probability:8.3%}") for each in predictions]
    if as_json:
        _print_json({"photo": str(photo), "artifact": classifier.artifact, **found})
        return
    _narrate(f"{photo} with {classifier.artifact}")
    if not lines:
        _narrate("no label has a probability of 50 % or more; --top 1 shows the most probable one")
    width = max((len(name) for name, _ in lines), default=0)
    for name, score in lines:
        _say(f"{name:<{width}}  {score}")


@app.command("inspect", short_help="Print what a model file holds.")
def inspect_command(
    file: Annotated[Path, typer.Argument(help="An artifact, a source model, or a bundle.")],
    layers: Annotated[
        bool,
        typer.Option("--layers", help="Also each layer: arithmetic, multiply-adds, parameters."),
    ] = False,
    as_json: _Json = False,
    format_: _Format = Format.TABLE,
) -> None:
    """Print what a file holds: inputs, outputs, labels, preprocessing, operations, data types."""
    from mobilecv.reports import bundle_lines, inspection_lines, layers_table
    from mobilecv.sources import SOURCES, kind_of
    from mobilecv.sources.keras.saved_model_files import is_saved_model
    from mobilecv_runtime.bundle import Bundle
    from mobilecv_runtime.inspection import INSPECTORS, inspect

    if is_saved_model(file) or (file.suffix.lower() in SOURCES and not file.is_dir()):
        found = [kind_of(file).inspect(file)]
    elif file.is_dir() and file.suffix.lower() not in INSPECTORS:
        bundle = Bundle.open(file)
        found = [inspect(bundle.file(entry)) for entry in bundle.manifest.artifacts]
        if as_json:
            _print_json(bundle.manifest.to_json())
            return
        _say("\n".join(bundle_lines(bundle.manifest)))
    elif file.exists() and file.suffix.lower() not in INSPECTORS:
        kinds = ", ".join([*INSPECTORS, *SOURCES])
        raise BundleError(f"{file}: unknown kind of file; known are {kinds}")
    else:
        found = [inspect(file)]
    if as_json:
        _print_json(found[0].to_json(layers=layers))
        return
    for number, each in enumerate(found):
        _say(("\n" if number else "") + "\n".join(inspection_lines(each)))
        if layers and each.census is not None:
            _say("")
            _print_table(layers_table(each.census), format_)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        import importlib.metadata

        _say(f"mobilecv {importlib.metadata.version('mobilecv')}")
        raise typer.Exit


def main() -> None:
    """Run the command line; every failure is one line and an exit code of its own."""
    signal.signal(signal.SIGINT, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        # A file on Windows may be in an encoding that has neither Δ nor ✓ nor a label's letters.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except MobileCVError as error:
        _narrate(f"error: {error}")
        sys.exit(error.exit_code)
    except _Interrupted:
        _narrate("interrupted; nothing was written")
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(EXIT_AGREES)
    except Exception:
        traceback.print_exc()
        _narrate("error: this is a defect in mobilecv; please report it with the lines above")
        sys.exit(EXIT_DEFECT)


class _Interrupted(BaseException):
    """Ctrl-C, as an exception that the option parser does not swallow."""


def _interrupt(number: int, frame: object) -> NoReturn:
    del number, frame
    raise _Interrupted


class _Narrator:
    """Tells a journey on stderr: a moving line on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self._on_terminal = sys.stderr.isatty()

    def note(self, text: str) -> None:
        _narrate(f"note: {text}" if ":" in text else text)

    def begin(self, step: str) -> None:
        self.within(step, "")

    def within(self, step: str, text: str) -> None:
        if self._on_terminal:
            # A line that is broken in two could not be taken back.
            line = f"{step} ... {text}"[: shutil.get_terminal_size().columns - 1]
            sys.stderr.write(f"\r\x1b[2K{line}")
            sys.stderr.flush()

    def end(self, step: str, outcome: str, seconds: float) -> None:
        if self._on_terminal:
            sys.stderr.write("\r\x1b[2K")
        _narrate(f"{step:<16} {outcome} ({seconds:.1f} s)")


def _loading(
    architecture: str | None,
    architecture_args: str | None,
    custom_objects: str | None,
    *,
    allow_pickle: bool,
    allow_code: bool,
) -> LoadOptions:
    """What the user says about loading the source."""
    from mobilecv.sources.loading import LoadOptions, parse_architecture_args

    if architecture_args is not None and architecture is None:
        raise UsageError("--architecture-args goes with --architecture")
    return LoadOptions(
        architecture=architecture,
        architecture_args=parse_architecture_args(architecture_args) if architecture_args else {},
        allow_pickle=allow_pickle,
        allow_code=allow_code,
        custom_objects=custom_objects,
    )


def _listed(words: list[str] | None) -> list[str]:
    """Names from an option that may be repeated and may hold commas."""
    return [name.strip() for word in words or () for name in word.split(",")]


def _found(bundle: Path | None) -> Path:
    """The bundle that was named, or the newest one below the current folder."""
    if bundle is not None:
        return bundle
    from mobilecv_runtime.bundle import Bundle

    found = Bundle.find(Path())
    if not found:
        raise UsageError("no bundle below the current folder; name one, or run mobilecv export")
    if len(found) > 1:
        others = ", ".join(str(path) for path in found[1:])
        _narrate(f"note: using the newest bundle, {found[0]}; there are others: {others}")
    return found[0]


def _print_table(table: Table, format_: Format) -> None:
    if format_ is Format.MARKDOWN or not sys.stdout.isatty():
        _say(table.markdown())
        return
    from rich.console import Console

    Console().print(table.rich())


def _print_json(data: Any) -> None:
    # What an encoding lacks is escaped as JSON has it, which `backslashreplace` would not.
    is_unicode = sys.stdout.encoding.lower().startswith("utf")
    _say(json.dumps(data, indent=2, ensure_ascii=not is_unicode, allow_nan=False))


def _say(text: str) -> None:
    """The result, on stdout."""
    sys.stdout.write(f"{text}\n")


def _narrate(text: str) -> None:
    """Everything else, on stderr."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
