"""`cate search`: architecture search on a benchmark."""

from pathlib import Path
from typing import Annotated

import typer

from cate_hf.commands._options import Overwrite, Results, Space


def search(
    space: Space,
    output: Annotated[Path, typer.Option(help="JSON file to write.", show_default=False)],
    benchmark: Results = None,
    encoding: Annotated[
        str,
        typer.Option(
            help="cate (the space's bundled checkpoint, or universal), adjacency, a checkpoint's name or folder, "
            "or a file of `cate encode`."
        ),
    ] = "cate",
    algorithm: Annotated[
        str,
        typer.Option(
            help="<algorithms>. With /encoding an evolution or a local search takes steps in the "
            "encoding; cate-predictor/trees and /ensemble choose its predictors, /mean what it thinks best "
            "where the guide is noisy."
        ),
    ] = "cate-dngo-ls",
    queries: Annotated[int, typer.Option(min=1, help="Architectures that each trial queries.")] = 150,
    trials: Annotated[int, typer.Option(min=1, help="Independent trials, with seeds seed, seed + 1, …")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first trial.")] = 0,
    guide_field: Annotated[
        str | None,
        typer.Option(
            "--guide",
            "--guide-field",
            help="Field of the benchmark that the search sees and maximises.",
            show_default="its accuracy",
        ),
    ] = None,
    report_field: Annotated[
        str | None,
        typer.Option(
            "--report", "--report-field", help="Field that regret is measured by.", show_default="the guide's"
        ),
    ] = None,
    fidelities: Annotated[
        str | None,
        typer.Option(
            help="Measure cheaply first (successive halving): fields from the cheapest to the one that counts, such as "
            "validation_accuracy_12,validation_accuracy=108, with their costs after = or at the end of their names. "
            "--queries is then the budget in measurements of the last.",
            show_default=False,
        ),
    ] = None,
    trust_pickle: Annotated[
        bool,
        typer.Option("--trust-pickle", help="Unpickle files of NAS-Bench-301 ensembles that cannot be read otherwise."),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Search a space with a benchmark's results instead of training, and write what each trial found.

    The file holds every trial's queries, best so far and regret, its seed, and the fields that guided and judged it.

    Examples:

      cate search --space nasbench201 --output search.json

      cate search --space nasbench101 --benchmark cells.parquet --output search.json

      cate search --space nasbench101 --benchmark cells.parquet --algorithm random --trials 100 --output random.json
    """
    from cate_hf.search._units import in_words, percentage_points
    from cate_hf.search.halving import SuccessiveHalving
    from cate_hf.search.run import SearchSettings, search_to_file

    def spent(count: int | str) -> str:
        return f"the cost of {count} queries" if fidelities else f"{count} queries"

    def report(trial: dict) -> None:
        name = "best_so_far" if trial["regret"] is None else "regret"
        end = in_words(name, percentage_points(trial["report_field"], [trial]), trial[name][-1])
        line = f"seed {trial['seed']}: {end} after {spent(len(trial[name]))}"
        typer.echo(f"{line}, {trial['seconds']:.1f} s", err=True)
        if trial["warning"]:
            typer.echo(f"seed {trial['seed']}: warning: {trial['warning']}", err=True)

    options = {"trust_pickle": True} if trust_pickle else {}
    settings = SearchSettings(
        space,
        algorithm,
        queries,
        trials,
        seed,
        benchmark,
        options,
        encoding,
        guide_field,
        report_field,
        SuccessiveHalving.parse(fidelities) if fidelities else None,
    )
    result = search_to_file(settings, output, overwrite, report, progress=True)
    name = "regret" if "regret" in result["summary"] else "best_so_far"
    for count, number in result["summary"].get(name, {}).items():
        unit = percentage_points(result["report_field"], result["trials"])
        end = in_words(name, unit, number["mean"], number["standard_error"])
        end += "" if unit[1] else f", in the unit of {result['report_field']}"
        typer.echo(f"after {spent(count)}, mean {end}")
    count = f"{len(result['trials'])} trials" if result["complete"] else f"the {len(result['trials'])} finished trials"
    typer.echo(f"wrote {output}: {count} of {algorithm} on {result['space']}, guided by {result['guide_field']}")
    if not result["complete"]:
        raise typer.Exit(130)
