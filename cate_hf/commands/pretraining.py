"""`cate pretrain-encoding`: encodings that an autoencoder learns from the architectures of a space alone."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer


def pretrain_encoding(
    name: Annotated[str, typer.Option(help="Which encoding: d-vae or arch2vec.", show_default=False)],
    space: Annotated[str, typer.Option(help="Search space: a name, or a YAML file.", show_default=False)],
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
        typer.Option(min=1, help="End after so many steps; the learning rate falls to this end.", show_default=False),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Architectures a step.", show_default="the preset's")
    ] = None,
    train_size: Annotated[
        int | None,
        typer.Option(min=1, help="Architectures to train on.", show_default="all but the tenth held out"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the split, weights, order and noise.")] = 0,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between states.")] = 500,
    device: Annotated[
        str | None, typer.Option(help="Where to train, such as cpu or cuda.", show_default="a GPU where there is one")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the last state in the output folder.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in the folder.")] = False,
) -> None:
    """Train D-VAE or arch2vec on a search space, without labels, and measure what it reconstructs.

    The architectures are the space's pool; a tenth is held out, and what comes back of it is shown at the end beside
    published figures where there are any, with the validity and uniqueness of decoded samples of the prior. The folder
    then serves as an encoding: --encoding FOLDER, or get_encoding("FOLDER", space).

    Ctrl-C leaves a state. With --resume the run then ends with the weights of an uninterrupted one, to the bit.

    Examples:

      cate pretrain-encoding --name arch2vec --space nasbench101 --output-dir arch2vec-101

      cate pretrain-encoding --name d-vae --space nasbench201 --output-dir d-vae-201 --max-steps 2000
    """
    from rich.console import Console

    from cate_hf.autoencoders.figures import as_table
    from cate_hf.autoencoders.training import Interrupted
    from cate_hf.core.progress import Stopped

    words = [word for word in sys.argv[1:] if word not in ("--resume", "--overwrite")]
    try:
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
    except Interrupted as stopped:
        raise Stopped(str(stopped)) from None
    view = as_table(name, facts["space"], facts["measured"], tuple(facts["published"]))
    Console(width=max(Console().width, 120)).print(view)
    typer.echo(f"wrote {output_dir}: {name} of {facts['space']}, {facts['steps']:,} steps of {facts['batch_size']}")


def train_to_folder(
    name: str,
    space: str,
    output_dir: str | Path,
    resume: bool = False,
    overwrite: bool = False,
    save_every: int = 500,
    device: str | None = None,
    progress: bool = False,
    command: str = "",
    **settings,
) -> dict:
    """Train an encoding on a space's pool to the end, and write its folder; returns its facts.

    Args:
        settings: see `cate_hf.autoencoders.settings.EncodingSettings`.

    Raises:
        ValueError: settings that do not fit, nothing to resume, or a state of another run.
        FileExistsError: the output folder holds something, and neither resume nor overwrite was asked for; or
            something that is not of a run, which is never removed.
        cate_hf.autoencoders.training.Interrupted: after Ctrl-C or SIGTERM, with the state saved.
    """
    from cate_hf.autoencoders.settings import EncodingSettings
    from cate_hf.autoencoders.training import EncodingTraining
    from cate_hf.core.files import check_output, clear_folder
    from cate_hf.encodings.folders import OWN_NAMES
    from cate_hf.spaces import get_space

    output_dir = Path(output_dir)
    if resume and overwrite:
        raise ValueError("--resume and --overwrite exclude each other")
    search_space = get_space(space)
    chosen = EncodingSettings.of(name, search_space, **settings)
    device = _device(device)
    check_output(output_dir.absolute(), overwrite=True)
    if output_dir.exists() and not output_dir.is_dir():
        raise FileExistsError(f"{output_dir} is a file; the output must be a folder")
    if output_dir.is_dir() and any(output_dir.iterdir()) and not resume:
        if not overwrite:
            raise FileExistsError(f"{output_dir} is not empty; continue with --resume, or replace it with --overwrite")
        clear_folder(output_dir, OWN_NAMES)
    run = EncodingTraining(chosen, search_space, search_space.pool(progress=progress), output_dir, device)
    if resume:
        run.resume()
    run.run(save_every, progress)
    return run.save(progress=progress, command=command)


def _device(name: str | None) -> str:
    """The device of that name, or the best that there is. Raises ValueError where nothing can be put on it."""
    import torch

    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name).tolist()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {name!r} cannot be used here; expected one such as cpu or cuda ({reason})") from None
    return name
