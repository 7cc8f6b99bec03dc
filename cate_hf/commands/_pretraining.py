"""`cate pretrain-encoding`: encodings that an autoencoder learns from the architectures of a space alone."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cate_hf.commands._options import Space


def pretrain_encoding(
    name: Annotated[str, typer.Option(help="Encoding to train: <autoencoders>.", show_default=False)],
    space: Space,
    output_dir: Annotated[
        Path,
        typer.Option(help="Folder to write; its folder `training` holds states to resume from.", show_default=False),
    ],
    preset: Annotated[
        str, typer.Option(help="default (minutes on a CPU), or paper: sizes and hyper-parameters of the paper.")
    ] = "default",
    epochs: Annotated[
        float | None,
        typer.Option(help="Passes over the training architectures.", show_default="the preset's steps or epochs"),
    ] = None,
    max_steps: Annotated[
        int | None,
        typer.Option(
            min=1, help="End after this many steps; the learning rate decays to this end.", show_default=False
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Architectures in each step.", show_default="the preset's")
    ] = None,
    train_size: Annotated[
        int | None, typer.Option(min=1, help="Architectures to train on.", show_default="all but the tenth held out")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split, weights, order and noise.")] = 0,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between states.")] = 500,
    device: Annotated[
        str | None, typer.Option(help="Device, such as cpu or cuda.", show_default="a GPU where there is one")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the last state in the output folder.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in the folder.")] = False,
) -> None:
    """Train D-VAE or arch2vec on a search space, without labels, and measure what it reconstructs.

    The architectures are the space's pool, of which a tenth is held out. At the end a table shows how much of it is
    reconstructed, and the validity and uniqueness of decoded samples of the prior, beside published figures where there
    are any. The folder then is an encoding: --encoding FOLDER, or get_encoding("FOLDER", space).

    Ctrl-C leaves a state; --resume continues from it, to the same weights, bit for bit, as an uninterrupted run.

    Examples:

      cate pretrain-encoding --name arch2vec --space nasbench101 --output-dir arch2vec-101

      cate pretrain-encoding --name d-vae --space nasbench201 --output-dir d-vae-201 --max-steps 2000
    """
    from rich.console import Console

    from cate_hf.autoencoders.training import train_to_folder

    words = [word for word in sys.argv[1:] if word not in ("--resume", "--overwrite")]
    facts = train_to_folder(
        name,
        space,
        output_dir,
        resume=resume,
        overwrite=overwrite,
        save_every=save_every,
        device=device,
        progress=True,
        command=shlex.join(["cate", *words]),
        preset=preset,
        epochs=epochs,
        max_steps=max_steps,
        batch_size=batch_size,
        train_size=train_size,
        seed=seed,
    )
    view = figures_table(name, facts["space"], facts["measured"], tuple(facts["published"]))
    Console(width=max(Console().width, 120)).print(view)
    typer.echo(f"wrote {output_dir}: {name} of {facts['space']}, {facts['steps']:,} steps of {facts['batch_size']}")


def figures_table(name: str, space: str, measured: dict[str, Any], published: tuple[dict[str, Any], ...]) -> Any:
    """A rich table of measured figures, in percent, beside published ones."""
    from rich.table import Table

    view = Table(title=f"{name} on {space}", title_justify="left")
    for column in ("", "reconstruction", "validity", "uniqueness"):
        view.add_column(column, justify="left" if not column else "right")
    figures, prior_figures = measured["reconstruction"], measured["prior"]
    which = f"{figures['architectures']:,} {'held-out' if figures['held_out'] else 'training'} architectures"
    names = {
        "exact": "exact, from the mean",
        "isomorphic": "isomorphic, from the mean",
        "elements": "share of operations and edges",
        "sampled": "exact, 10 latent vectors × 10 decodings drawn",
    }
    for key, label in names.items():
        if key in figures:
            view.add_row(f"{label} ({which if key != 'sampled' else 'of 100'})", f"{100 * figures[key]:.2f}", "", "")
    for key, label in (("standard", "prior N(0, I)"), ("training_range", "prior, in the training's range")):
        numbers = (f"{100 * prior_figures[key][name]:.2f}" for name in ("validity", "uniqueness"))
        view.add_row(f"{label} ({prior_figures['decodings']:,} decodings)", "", *numbers)
    view.add_section()
    for row in published:
        numbers = (f"{row[key]:.2f}" for key in ("reconstruction", "validity", "uniqueness"))
        view.add_row(f"published on {row['space']}: {row['source']}", *numbers)
    return view
