"""Is an encoding any good? Prediction and geometry of frozen encodings, as tables and figures."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cate_hf.benchmarks import find_benchmark
from cate_hf.core._files import atomic_output
from cate_hf.core._progress import progress_bar
from cate_hf.experiments._geometry import HEADINGS, geometry
from cate_hf.experiments._prediction import NAMES, best, check_labels, fitting, mean_and_spread, predict, to_target
from cate_hf.experiments.grid import slug
from cate_hf.experiments.maps import check_projection, draw_map, map_file
from cate_hf.search.run import encode_candidates
from cate_hf.spaces import get_space

__all__ = ["EvaluateSettings", "evaluate_encodings"]

SETTINGS_FILE = "settings.json"


@dataclass(frozen=True)
class EvaluateSettings:
    """What is measured; a folder that is continued must have the same.

    Attributes:
        space, benchmark, field: as for `cate search`; the benchmark's default field when None.
        labels: numbers of labelled architectures, 50, 150 and 424 or as many of them as fit when None; seeds: draws.
        predictors: names; all when empty.
        development: measure on the architectures set apart for choices, not on those of final figures.
        pool: a random sample of so many architectures stands for all.
        test_size: how many architectures are unseen, of which twice as many are set apart; 4,000, or of few
            architectures a fifth, when None.
    """

    space: str
    benchmark: str | None = None
    field: str | None = None
    labels: tuple[int, ...] | None = None
    seeds: int = 5
    predictors: tuple[str, ...] = ()
    development: bool = False
    pool: int | None = None
    test_size: int | None = None


def evaluate_encodings(
    output: Path,
    settings: EvaluateSettings,
    encodings: Sequence[str],
    command: str | None = None,
    progress: bool = False,
    projection: str = "pca",
) -> str:
    """What `cate evaluate` does: measure each encoding that the folder lacks, then write tables and figures.

    Args:
        projection: of the maps, one of `cate_hf.experiments.maps.PROJECTIONS`.

    Returns:
        the tables in Markdown.

    Raises:
        ValueError: a name that is not known, a folder of another evaluation, too few architectures.
    """
    from cate_hf.encodings import get_encoding
    from cate_hf.encodings.registry import check_encodings

    check_projection(projection)
    check_encodings(encodings)
    output = Path(output)
    benchmark = find_benchmark(settings.space, settings.benchmark)
    field = settings.field or benchmark.default_field
    table = benchmark.candidates(progress=progress)
    if settings.pool is not None and settings.pool < len(table):
        table = table[np.sort(np.random.default_rng([0, 5]).choice(len(table), settings.pool, replace=False))]
    values = benchmark.query_many(table, field, missing="nan")
    table, values = table[~np.isnan(values)], values[~np.isnan(values)]
    names = settings.predictors or NAMES
    test_size, labels = fitting(len(table), settings.test_size, settings.labels)
    check_labels(len(table), labels, settings.seeds, names, test_size)
    makers: dict[str, Any] = {}  # each is made once, for the vectors and for other drawings
    for name in encodings:
        if Path(name).suffix != ".parquet":
            makers[name] = get_encoding(name, settings.space)
    _check_folder(output, replace(settings, test_size=test_size, labels=labels))
    fits = len(labels) * settings.seeds * len(names)
    results = {}
    for name in encodings:
        file = output / f"{slug(Path(name).stem if Path(name).exists() else name)}.json"
        picture = output / map_file(file.stem, projection)
        if not (file.is_file() and picture.is_file()):
            vectors = encode_candidates(makers.get(name, name), settings.space, table, progress)
        if not file.is_file():
            with progress_bar(f"predicting from {name}", fits, "fits", progress) as advance:
                tau = predict(
                    vectors,
                    to_target(values, field),
                    labels,
                    settings.seeds,
                    settings.development,
                    names,
                    test_size,
                    lambda: advance(1),
                )
            transform = makers[name].transform if name in makers else None
            found = geometry(get_space(settings.space), table, vectors, values, transform)
            with atomic_output(file) as temporary:
                content = {"encoding": name, "dim": vectors.shape[1], "prediction": tau, "geometry": found}
                temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        if not picture.is_file():
            with progress_bar(f"map of {name}", 1, "maps", progress) as advance:
                draw_map(picture, name, vectors, table, values, field, projection)
                advance(1)
        results[name] = json.loads(file.read_text(encoding="utf-8"))
    which = "development" if settings.development else "test"
    notes = [
        f"Oracle: {benchmark.oracle(field)}. {len(table):,} architectures of {benchmark.space.name}; "
        f"{test_size:,} {which} architectures, {settings.seeds} draws of the labelled ones, mean ± standard "
        "deviation.",
        *([f"`{command}`"] if command else []),
    ]
    text = _tables(results, labels) + "\n" + "\n\n".join(notes) + "\n"
    with atomic_output(output / "table.md", overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
    for suffix in (".png", ".svg"):
        _draw_tau(output / f"tau{suffix}", results, benchmark.space.name, benchmark.oracle(field))
    return text


def _check_folder(output: Path, settings: EvaluateSettings) -> None:
    file, mine = output / SETTINGS_FILE, json.loads(json.dumps(asdict(settings)))
    if file.is_file():
        theirs = json.loads(file.read_text(encoding="utf-8"))
        for name, value in mine.items():
            if theirs.get(name) != value:
                raise ValueError(
                    f"{output} holds another evaluation: {name} is {value!r} here and {theirs.get(name)!r} there"
                )
        return
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(f"{output} is not empty and holds no evaluation; choose another folder")
    output.mkdir(parents=True, exist_ok=True)
    with atomic_output(file) as temporary:
        temporary.write_text(json.dumps(mine, indent=2) + "\n", encoding="utf-8")


def _tables(results: dict[str, dict], labels: Sequence[int]) -> str:
    """Kendall τ of every predictor, all measures of the best one, and the geometry."""
    lines = ["| encoding | predictor |" + "".join(f" τ @{n} |" for n in labels)]
    lines.append("|---|---|" + "---|" * len(labels))
    for name, result in results.items():
        by_labels = result["prediction"]
        for predictor in next(iter(by_labels.values())):
            taus = [mean_and_spread(by_labels[str(n)][predictor]["kendall_tau"]) for n in labels]
            cells = [f" {m:.3f}" + ("" if np.isnan(s) else f" ± {s:.3f}") + " |" for m, s in taus]
            lines.append(f"| {name} | {predictor} |" + "".join(cells))
        tops = [best(by_labels[str(n)]) for n in labels]
        lines.append(f"| {name} | best |" + "".join(f" **{m:.3f}** ({which}) |" for which, m, _ in tops))
    most = str(labels[-1])
    lines += ["", f"| encoding, @{most} | dims | τ | Spearman ρ | precision@1 % |", "|---|---|---|---|---|"]
    for name, result in results.items():
        chosen = result["prediction"][most][best(result["prediction"][most])[0]]
        numbers = [mean_and_spread(chosen[m])[0] for m in ("kendall_tau", "spearman", "precision_at_k")]
        lines.append(f"| {name} | {result['dim']} |" + "".join(f" {number:.3f} |" for number in numbers))
    lines += ["", "| encoding | " + " | ".join(HEADINGS.values()) + " |", "|---|" + "---|" * len(HEADINGS)]
    for name, result in results.items():
        cells = [result["geometry"][key] for key in HEADINGS]
        lines.append(f"| {name} |" + "".join(" – |" if np.isnan(c) else f" {c:.3f} |" for c in cells))
    return "\n".join(lines) + "\n"


def _draw_tau(file: Path, results: dict[str, dict], space: str, oracle: str) -> None:
    """Kendall τ of the best predictor by number of labels, a line an encoding."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axis = figure.add_subplot()
    for i, (name, result) in enumerate(results.items()):
        labels = sorted(map(int, result["prediction"]))
        points = [best(result["prediction"][str(n)])[1:] for n in labels]
        mean, spread = np.array(points).T
        axis.errorbar(
            labels, mean, np.nan_to_num(spread), marker="osD^vP*X"[i % 8], capsize=3, linewidth=1.4, label=name
        )
    axis.set_xscale("log")
    axis.set_xticks(labels, [str(n) for n in labels])
    axis.minorticks_off()
    axis.set_xlabel("labelled architectures")
    axis.set_ylabel("Kendall τ, best predictor")
    axis.set_title(f"{space}: {oracle}", fontsize=8, wrap=True)
    axis.grid(alpha=0.3, linewidth=0.5)
    axis.legend(frameon=False, fontsize=8)
    with atomic_output(file, overwrite=True) as temporary:
        figure.savefig(temporary, dpi=160)
