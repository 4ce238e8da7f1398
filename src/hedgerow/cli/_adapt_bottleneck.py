"""`hedgerow adapt bottleneck`: a small encoder and decoder around a cut, so that far fewer bytes cross."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hedgerow.errors import UsageError

if TYPE_CHECKING:
    from hedgerow.models.task import TaskModel


def register(group: typer.Typer) -> None:
    """Add the verb."""
    group.command("bottleneck")(bottleneck)


def bottleneck(
    model: Annotated[
        str, typer.Argument(help="A fetched model's name, a task file of one model, or TASK.toml:NAME of several.")
    ],
    cut: Annotated[str, typer.Option(help="The tensor that the encoder reads; see `hedgerow model inspect`.")],
    bytes_wanted: Annotated[
        int, typer.Option("--bytes", min=64, help="Mean payload on photographs like those learned from.")
    ],
    images: Annotated[Path, typer.Option(help="A folder of pictures like those to come; 300 are good.")],
    target: Annotated[
        str | None,
        typer.Option(
            help="A later tensor that the decoder gives and whose blocks the encoder imitates (default: CUT)."
        ),
    ] = None,
    budget: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Greatest share of the multiply-adds up to the latent.")
    ] = 0.5,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The file to make (default: NAME-bottleneck.onnx here).")
    ] = None,
    steps: Annotated[int, typer.Option(min=0, help="Of training, 0.1 to 0.3 s each; 0: none, a linear code.")] = 1500,
    taught: Annotated[
        int,
        typer.Option(
            min=0, help="Of these the last ones, which run the model's tail; worth it with thousands of pictures."
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of all chance in it; the same seed makes the same file.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Train a bottleneck and write it as one model with the joint "latent". It may be stopped and goes on (needs PyTorch)."""
    from hedgerow.adaptation.bottleneck.making import LINEAR_VERSIONS, TRAINED_VERSIONS, Wanted, make
    from hedgerow.adaptation.keeping import Made, needs_pytorch, read_record
    from hedgerow.adaptation.recipes import model_text
    from hedgerow.adaptation.sources import picture_paths
    from hedgerow.cli._adapt_all import progress
    from hedgerow.cli._adapt_quantise import find

    needs_pytorch()
    _, chosen = find(model)
    path = output or Path(f"{chosen.name}-bottleneck.onnx")
    if path.suffix != ".onnx":
        raise UsageError(f"{path} must end in .onnx")
    if taught > steps:
        raise UsageError(f"{taught} steps cannot be taught of {steps}")
    paths = picture_paths(images)
    _check(chosen, path, (cut, target or cut), paths)
    versions = TRAINED_VERSIONS if steps else LINEAR_VERSIONS
    wanted = Wanted(path.stem, cut, target or cut, bytes_wanted, budget, steps, taught, versions, seed=seed)
    done = "there already:" if path.exists() else "wrote"
    entry = make(wanted, chosen, paths, path.parent, progress())
    figures = read_record(Made(path, {}).record_path)["figures"]
    if as_json:
        print(json.dumps(figures | {"file": str(path)}))
        return
    for line in _said(figures):
        print(line)
    print(f"{done} {path}; to use it, add to the task file:\n")
    print(model_text(entry))


def _check(model: "TaskModel", output: Path, cuts: Sequence[str], pictures: Sequence[Path]) -> None:
    """UsageError or HostError for what would else be found out after the training."""
    from hedgerow.adaptation.sources import check_readable
    from hedgerow.cli._outputs import check_writable
    from hedgerow.models.cuts import choose_cuts
    from hedgerow.models.graph import Graph

    check_writable(output)
    choose_cuts(Graph.open(model.path), list(dict.fromkeys(cuts)))
    check_readable(pictures)


def _said(figures: dict[str, Any]) -> list[str]:
    """The figures for people."""
    return [
        f"work up to the latent  {figures['device_share']:.1%} of the uncut model's multiply-adds, encoder included",
        f"payload                about {figures['bytes_expected']} bytes on the photographs that set the scale",
        f"latent                 {' x '.join(map(str, figures['latent']))} whole numbers, scale {figures['scale']:g}",
        "agreement              not judged here: `hedgerow profile` or `hedgerow bench adapt` do, on other pictures",
    ]
