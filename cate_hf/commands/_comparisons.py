"""`cate compare`: encodings under searches."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cate_hf.commands._options import OutputDir, Pool, Results, Space


def compare(
    output: Annotated[
        Path, typer.Option(help="Folder of the comparison, with one file for each trial.", show_default=False)
    ],
    space: Annotated[
        str | None, typer.Option(help="Search space: a name, or a YAML file.", show_default="the preset's")
    ] = None,
    benchmark: Results = None,
    encodings: Annotated[
        str | None,
        typer.Option(
            help="Names, checkpoints or files of cate encode, separated by commas.", show_default="cate,adjacency"
        ),
    ] = None,
    algorithms: Annotated[
        str | None, typer.Option(help="With commas, of <algorithms>.", show_default="random,cate-dngo-ls")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="One of <presets>; other options override it.", show_default=False)
    ] = None,
    as_reference: Annotated[
        bool,
        typer.Option(
            "--as-reference",
            help="For outside-space: candidates of 6 nodes with 7 edges or more, instead of more than 7.",
        ),
    ] = False,
    queries: Annotated[int | None, typer.Option(min=1, help="Queries in each trial.", show_default="150")] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Trials of each arm.", show_default="10")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the first trial.", show_default="0")] = None,
    guide_field: Annotated[
        str | None,
        typer.Option(
            "--guide",
            "--guide-field",
            help="Label that a search maximises: a field, or one-run-validation, mean-validation or mean-test.",
            show_default="the benchmark's accuracy",
        ),
    ] = None,
    report_field: Annotated[
        str | None,
        typer.Option(
            "--report",
            "--report-field",
            help="Label that the results are judged by, named likewise.",
            show_default="the guide",
        ),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="ALGORITHM.SETTING=VALUE", help="A setting of an algorithm, such as bo-dngo.epochs=30."
        ),
    ] = None,
    where: Annotated[
        str | None, typer.Option(help='Candidates to search in, such as "nodes==6,edges>7".', show_default="all")
    ] = None,
    pool: Pool = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="Arm that the p-values compare with: an encoding, under the same algorithm, or "
            "ALGORITHM,ENCODING for all.",
            show_default="cate",
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trials to run at a time.")] = 1,
    backend: Annotated[
        str, typer.Option(help="loky: processes here; ray: a Ray cluster, RAY_ADDRESS or a local one.")
    ] = "loky",
) -> None:
    """Compare encodings under search algorithms: a table and figures of regret.

    Every algorithm that looks at vectors runs with every encoding, the others once. The folder keeps one file for
    each trial: the same command continues where it was interrupted, and more --trials, other --encodings and other
    --algorithms are added to what is there. At the end it holds table.md, table.tex,
    summary.csv, trials.parquet (each query), and a figure for each algorithm as PNG and SVG (up to 7 arms: also one
    figure of all).

    Examples:

      cate compare --space nasbench201 --encodings cate,adjacency --algorithms random,cate-dngo-ls --output comparison

      cate compare --preset paper-small --benchmark cells.parquet --jobs 2 --output paper-small
    """
    import shlex
    import sys

    from cate_hf.experiments import settings as comparison
    from cate_hf.experiments.grid import run_grid
    from cate_hf.experiments.report import REFERENCE, check_reference, write_report

    chosen: dict[str, Any] = {
        "space": space,
        "benchmark": benchmark,
        "encodings": _names("--encodings", encodings),
        "algorithms": _names("--algorithms", algorithms),
        "queries": queries,
        "trials": trials,
        "seed": seed,
        "guide_field": guide_field,
        "report_field": report_field,
        "where": where,
        "pool": pool,
        "options": comparison.parse_options(options) if options else None,
    }
    if preset is not None:
        settings = comparison.preset(preset, as_reference, **chosen)
    elif as_reference:
        raise ValueError("--as-reference needs a --preset")
    elif space is None:
        raise ValueError("give --space, or a --preset that has one")
    else:
        settings = comparison.CompareSettings(**{k: v for k, v in chosen.items() if v is not None})
    if against is not None:
        check_reference(against, settings, output)
    facts = run_grid(output, settings, jobs, backend, progress=True)
    command = shlex.join(["cate", *sys.argv[1:]])
    typer.echo(write_report(output, facts, facts["settings"], command, against or REFERENCE))
    typer.echo(f"wrote {output}: {settings.trials} trials of {len(settings.arms())} arms, tables and figures")


def _names(option: str, text: str | None) -> tuple[str, ...] | None:
    names = None if text is None else tuple(name.strip() for name in text.split(",") if name.strip())
    if names == ():
        raise ValueError(f"{option}: expected names separated by commas, got none")
    return names


def evaluate(
    space: Space,
    output: OutputDir,
    encodings: Annotated[
        str | None,
        typer.Option(
            help="Names, checkpoints or files of cate encode, separated by commas.",
            show_default="cate,adjacency; with --probe structure, too",
        ),
    ] = None,
    benchmark: Results = None,
    field: Annotated[
        str | None, typer.Option(help="The field to predict.", show_default="the benchmark's accuracy")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="Numbers of labelled architectures, separated by commas.",
            show_default="50,150,424, or what a small table leaves",
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Draws of the labels.", show_default="5; with --probe 3")
    ] = None,
    predictors: Annotated[
        str | None, typer.Option(help="Any of <predictors>, separated by commas.", show_default="all")
    ] = None,
    development: Annotated[
        bool, typer.Option("--development", help="Measure on other architectures, for choices during training.")
    ] = False,
    pool: Pool = None,
    test_size: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Number of unseen test architectures.",
            show_default="4000, or a fifth of a small table; with --probe 2000",
        ),
    ] = None,
    projection: Annotated[str, typer.Option("--map", help="Projection of the maps: <projections>.")] = "pca",
    probe: Annotated[
        bool, typer.Option("--probe", help="Measure by made-up labels and linear probes, without any results.")
    ] = False,
) -> None:
    """Measure encodings: how well they predict accuracy from few labels, and what they put near each other.

    Writes table.md (Kendall τ of each predictor, Spearman's ρ, precision at 1 %; distances against accuracy, cost,
    edits and drawings; collisions; effective dimension), a figure of τ, and a map of each encoding. The folder keeps
    one file for each encoding: the same command continues where it was interrupted, and more encodings can be added.

    With --probe it writes probe.md, probe.csv and probe.json instead: Kendall τ of labels that are additive in single
    edges, in operations by their place, in paths, and in pairs of nodes; and how often a linear model finds an
    operation or an edge of the canonical drawing in the encoding. Of any space, 8,000 of its architectures.

    Examples:

      cate evaluate --space nasbench201 --encodings cate,adjacency,path --output evaluation

      cate evaluate --space my_space.yaml --probe --output probes
    """
    import shlex
    import sys

    from cate_hf.experiments._prediction import LABELS
    from cate_hf.experiments.evaluate import EvaluateSettings, evaluate_encodings
    from cate_hf.experiments.probe import ProbeSettings, probe_encodings

    try:
        counts = tuple(int(n) for n in labels.split(",")) if labels is not None else None
    except ValueError:
        raise ValueError(f"--labels must be numbers separated by commas, not {labels!r}") from None
    command = shlex.join(["cate", *sys.argv[1:]])
    if probe:
        if given := [
            f"--{n}" for n, v in {"benchmark": benchmark, "field": field, "predictors": predictors}.items() if v
        ]:
            raise ValueError(f"--probe takes no {given[0]}: it measures without results")
        asked = _names("--encodings", encodings) or ("cate", "adjacency", "structure")
        probing = ProbeSettings(space, counts or LABELS, seeds or 3, pool or 8000, test_size or 2000)
        typer.echo(probe_encodings(output, probing, asked, command, progress=True))
        typer.echo(f"wrote {output}: probe.md, probe.csv and probe.json")
        return
    names = _names("--predictors", predictors) or ()
    asked = _names("--encodings", encodings) or ("cate", "adjacency")
    settings = EvaluateSettings(space, benchmark, field, counts, seeds or 5, names, development, pool, test_size)
    typer.echo(evaluate_encodings(output, settings, asked, command, progress=True, projection=projection))
    typer.echo(f"wrote {output}: table.md, tau.png, a map and a file of numbers for each encoding")
