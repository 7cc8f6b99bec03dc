"""`cate publish`, `publish-dataset`, `card` and `export`, and `cate download`, `models` and `cache`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from cate_hf.commands._listing import print_listing
from cate_hf.commands._options import Json, Overwrite, Quiet

RepoId = Annotated[
    str, typer.Argument(help="Repository, owner/name; created if it does not exist.", show_default=False)
]
Private = Annotated[bool, typer.Option("--private", help="Make a new repository private.")]
Revision = Annotated[str | None, typer.Option(help="Branch to commit to.", show_default="main")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything and list the files; send nothing.")]


def publish(
    folder: Annotated[Path, typer.Argument(help="Folder of a checkpoint.", show_default=False)],
    repo_id: RepoId,
    private: Private = False,
    revision: Revision = None,
    dry_run: DryRun = False,
) -> None:
    """Publish a checkpoint on the Hub.

    The folder is checked whole: files, configuration, weights, card, and that a fresh process without this package
    loads and encodes by the remote code that goes with it. Then its files are sent in one commit, or none
    if nothing is new. It needs a token: `hf auth login`, or HF_TOKEN.

    Examples:

      cate publish my_encoder someone/my-encoder --dry-run

      cate publish my_encoder someone/my-encoder --private
    """
    from cate_hf.publishing.publish import publish_checkpoint

    tell(folder, publish_checkpoint(folder, repo_id, private, revision, dry_run))


def publish_dataset(
    folder: Annotated[Path, typer.Argument(help="Folder made by `cate pairs`.", show_default=False)],
    repo_id: RepoId,
    private: Private = False,
    revision: Revision = None,
    dry_run: DryRun = False,
) -> None:
    """Publish architectures and their pairs on the Hub, as a data set that `load_dataset` reads.

    Example:

      cate publish-dataset pairs someone/my-pairs
    """
    from cate_hf.publishing.publish import publish_pairs

    tell(folder, publish_pairs(folder, repo_id, private, revision, dry_run))


def tell(folder: Path | str, published: Any) -> None:
    """Print what was, or would be, published of a folder."""
    if published.left_out:
        typer.echo(f"not published of {folder}: {', '.join(published.left_out)}")
    size = f"{len(published.files)} files, {sum(published.files.values()):,} bytes"
    if published.url is None:
        for name, count in published.files.items():
            typer.echo(f"{count:>14,}  {name}")
        typer.echo(f"all checks passed; nothing was sent. To {published.repo_id} would go {size}")
    elif published.changed:
        typer.echo(f"published {size} as commit {published.commit}")
        typer.echo(published.url)
    else:
        typer.echo(f"nothing new; {published.repo_id} stays at commit {published.commit}")
        typer.echo(published.url)


def card(
    folder: Annotated[Path, typer.Argument(help="Folder of a checkpoint, or one made by `cate pairs`.")],
    repository: Annotated[
        str | None, typer.Option(help="Repository that the card's example loads, owner/name.", show_default=False)
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Write it to the folder's README.md.")] = False,
    probe: Annotated[
        Path | None,
        typer.Option(help="Folder of `cate evaluate --probe`: the first encoding's figures are this checkpoint's."),
    ] = None,
) -> None:
    """Show the card of a checkpoint or of pairs as it would be published, made from the facts in their folder.

    Examples:

      cate card my_encoder

      cate card my_encoder --repository someone/my-encoder --write

      cate card my_encoder --probe probes --write
    """
    from cate_hf.publishing.card_files import (
        check_card,
        probe_facts,
        render_checkpoint_card,
        render_pairs_card,
        write_card,
    )

    pairs = (folder / "pairs.json").is_file()
    if pairs and probe is not None:
        raise ValueError(f"{folder}: the card of pairs has no probes")
    facts = {} if probe is None else probe_facts(probe)
    text = render_pairs_card(folder, repository) if pairs else render_checkpoint_card(folder, repository, facts)
    check_card(text, "dataset" if pairs else "model", f"the card of {folder}")
    if write:
        typer.echo(f"wrote {write_card(folder, text, facts)}")
    else:
        typer.echo(text, nl=False)


def download(
    name: Annotated[
        str, typer.Argument(help="An encoder's name (see `cate models`), or owner/name.", show_default=False)
    ],
    output: Annotated[
        Path | None, typer.Option(help="Copy it to this folder.", show_default="kept in the cache")
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="Branch or commit.", show_default="the registered one, or main")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Download an encoder from the Hub and check it: the digest of each file, then the folder as a checkpoint.

    Its code is not run. Files in the cache are not downloaded again, and an interrupted download continues when the
    command is given again. A copy in --output has the code of this package, as after `cate export`.
    Other commands download `--model owner/name` by themselves.

    Examples:

      cate download someone/my-encoder

      cate download someone/my-encoder --revision v2 --output my_encoder
    """
    from cate_hf.core._files import check_output
    from cate_hf.hub._layout import PUBLISHED_FILES
    from cate_hf.hub.load import fetch_encoder
    from cate_hf.hub.save import export_checkpoint

    if output is not None:
        check_output(output, overwrite, PUBLISHED_FILES)
    folder = fetch_encoder(name, revision)
    typer.echo(f"{name}: {folder if output is None else export_checkpoint(folder, output, overwrite)}")


def export(
    name: Annotated[
        str,
        typer.Argument(
            help="A bundled checkpoint or predictor (see `cate models`), a folder, or owner/name.", show_default=False
        ),
    ],
    output_dir: Annotated[Path, typer.Argument(help="Folder to write.", show_default=False)],
    overwrite: Overwrite = False,
) -> None:
    """Copy a checkpoint to a folder that loads where this package is not installed.

    The copy has the code of the model and the tokenizer beside the weights, and its configuration names their classes,
    so that AutoModel.from_pretrained(DIR, trust_remote_code=True) works with transformers and torch alone. Code that is
    already in the folder is not copied. `cate publish` and `cate download --output` add the same code.

    Examples:

      cate export nasbench101 my_copy

      cate export my_encoder my_copy --overwrite
    """
    from cate_hf.core._files import check_output
    from cate_hf.hub._layout import PUBLISHED_FILES
    from cate_hf.hub.save import export_checkpoint
    from cate_hf.publishing.models import known_folder

    check_output(output_dir, overwrite, PUBLISHED_FILES)
    typer.echo(f"wrote {export_checkpoint(known_folder(name), output_dir, overwrite)}: {name} with its code")


def models(json: Json = False, quiet: Quiet = False) -> None:
    """List the encoders and predictors that have a name: bundled, in the cache, or on the Hub.

    The columns are the kind, the space, the length of an encoding, parameters, size on disk, measured Kendall tau by
    number of labelled architectures, and where it is. CATE_HF_NAMESPACE sets the owner of named repositories.
    """
    from cate_hf.publishing.models import known_encoders, known_predictors

    encoders = known_encoders() + known_predictors()
    rows = [asdict(encoder) for encoder in encoders]
    print_listing(rows, "name", json, quiet, lambda: _print_encoders(encoders))


def cache(
    remove: Annotated[
        list[str] | None, typer.Option(help="Remove this entry; repeat it for several.", show_default=False)
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove all entries.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the cached tables of spaces, statistics, data sets and encoders, with their sizes.

    All of it can be computed or downloaded again. CATE_HF_CACHE sets the folder of computed files, HF_HOME that of
    downloads.

    Examples:

      cate cache

      cate cache --remove someone/my-encoder
    """
    from cate_hf.publishing.cache import cache_entries, remove_entries

    names = [entry.name for entry in cache_entries()] if clear else remove
    if not names:
        entries = cache_entries()
        rows = [{"name": e.name, "kind": e.kind, "bytes": e.bytes, "path": str(e.path)} for e in entries]
        print_listing(rows, "name", json, quiet, lambda: _print_entries(entries))
        return
    removed = remove_entries(names)
    typer.echo(f"removed {len(removed)} entries, {sum(entry.bytes for entry in removed) / 1e6:,.1f} MB")


def _print_entries(entries: list) -> None:
    """As a table, on standard output."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from cate_hf.graphs._cache import cache_folder

    table = Table("name", "kind", title=f"{cache_folder()} and the cache of huggingface_hub", title_justify="left")
    table.add_column("MB", justify="right")
    for entry in entries:
        table.add_row(Text(entry.name, overflow="fold"), entry.kind, f"{entry.bytes / 1e6:,.1f}")
    table.add_section()
    table.add_row(f"{len(entries)} entries", "", f"{sum(entry.bytes for entry in entries) / 1e6:,.1f}")
    console = Console()
    console.width = max(console.width, 100)
    console.print(table)


def _print_encoders(encoders: list) -> None:
    """As a table, on standard output."""
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(Column("name", no_wrap=True), "kind", Column("space", overflow="fold"))
    for title in ("numbers", "parameters", "MB"):
        table.add_column(title, justify="right")
    for title in ("Kendall tau (labels)", "where"):
        table.add_column(title, overflow="fold")
    for encoder in encoders:
        tau = ", ".join(f"{value:.3f} ({n})" for n, value in (encoder.kendall_tau or {}).items())
        numbers = (encoder.dim, encoder.parameters)
        texts = [encoder.name, encoder.kind, encoder.space or "", *("" if n is None else f"{n:,}" for n in numbers)]
        texts += ["" if encoder.megabytes is None else f"{encoder.megabytes:.1f}", tau, encoder.where]
        table.add_row(*map(Text, texts))
    console = Console()
    console.width = max(console.width, 120)
    console.print(table)
