"""`cate search`: architecture search on a benchmark."""

from pathlib import Path
from typing import Annotated

import typer


def search(
    space: Annotated[str, typer.Option(help="Name of the search space.", show_default=False)],
    benchmark: Annotated[Path, typer.Option(help="File of the benchmark's results.", show_default=False)],
    output: Annotated[Path, typer.Option(help="JSON file to write.", show_default=False)],
    encoding: Annotated[
        str, typer.Option(help="adjacency, a checkpoint's name or folder, or a file of `cate encode`.")
    ] = "nasbench101",
    algorithm: Annotated[str, typer.Option(help="random or cate-dngo-ls.")] = "cate-dngo-ls",
    queries: Annotated[int, typer.Option(min=1, help="Architectures that a trial may query.")] = 150,
    trials: Annotated[int, typer.Option(min=1, help="Independent trials, with seeds seed, seed + 1, …")] = 10,
    seed: Annotated[int, typer.Option(help="Of the first trial.")] = 0,
    guide_field: Annotated[str, typer.Option(help="The benchmark's field that the search is told.")] = "test_accuracy",
    report_field: Annotated[str, typer.Option(help="The field that its regret is measured by.")] = "test_accuracy",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output when it exists.")] = False,
) -> None:
    """Search a space with a benchmark's results in the place of training, and write what each trial found.

    The file holds every trial's queries, best so far and regret, its seed, and which numbers guided and judged it.

    Examples:

      cate search --space nasbench101 --benchmark cells.parquet --output search.json

      cate search --space nasbench101 --benchmark cells.parquet --algorithm random --trials 100 --output random.json
    """
    from cate_hf.search.run import search_to_file

    def report(trial: dict) -> None:
        line = f"seed {trial['seed']}: regret {100 * trial['regret'][-1]:.3f} % after {len(trial['regret'])} queries"
        typer.echo(f"{line}, {trial['seconds']:.1f} s", err=True)

    result = search_to_file(
        space,
        benchmark,
        encoding,
        algorithm,
        queries,
        trials,
        seed,
        output,
        overwrite=overwrite,
        guide_field=guide_field,
        report_field=report_field,
        on_trial=report,
        progress=True,
    )
    for count, regret in result["summary"].get("regret", {}).items():
        typer.echo(
            f"mean regret after {count} queries: {100 * regret['mean']:.3f} ± {100 * regret['standard_error']:.3f} %"
        )
    count = f"{len(result['trials'])} trials" if result["complete"] else f"the {len(result['trials'])} finished trials"
    typer.echo(f"wrote {output}: {count} of {algorithm} on {space}, guided by {guide_field}")
    if not result["complete"]:
        raise typer.Exit(130)
