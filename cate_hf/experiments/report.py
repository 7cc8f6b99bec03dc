"""What a comparison came to: every trial as a table, a summary in Markdown, LaTeX and CSV, figures of regret."""

import csv
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from cate_hf.core._files import atomic_output
from cate_hf.core._names import unknown
from cate_hf.experiments.grid import read_trials, slug
from cate_hf.experiments.settings import NO_ENCODING, SETTINGS_FILE, CompareSettings, read_settings
from cate_hf.search._units import percentage_points
from cate_hf.search.run import at_checkpoints

__all__ = ["reference_arm", "write_report"]

REFERENCE = "cate"  # the encoding that the others are tested against, by default
_TOGETHER = 7  # arms that one figure can tell apart
_LEVELS = (0, 0.25, 0.5, 0.75, 1)  # of a measure over the trials, at the end
_PACKAGES = ("cate_hf", "numpy", "scipy", "torch")


def summarise(
    trials: dict[tuple[str, str], list[dict]], best_possible: float | None, reference: str = REFERENCE
) -> list[dict[str, Any]]:
    """One row an arm, the best first: mean and standard error of the regret (or of the best so far, where the best
    possible is not known) at 50, 100, 150 queries and at the end, rank at the end, and the p-value of Wilcoxon's
    signed-rank test against the `reference`, over the seeds that both have; and the quartiles at the end, from the
    least to the most.

    Arms without a finished trial are left out. The `reference` is an encoding, that of the same algorithm; or
    ALGORITHM,ENCODING, that arm for all.
    """
    measure, sign = ("best_so_far", -1) if best_possible is None else ("regret", 1)
    rows = []
    for (algorithm, encoding), runs in trials.items():
        if not runs:
            continue
        curves = np.array([run[measure] for run in runs])
        rows.append(
            {
                "algorithm": algorithm,
                "encoding": encoding,
                "trials": len(runs),
                "measure": measure,
                "best_so_far": max(max(run["best_so_far"]) for run in runs),
                "at": at_checkpoints(curves),
                "quartiles": np.quantile(curves[:, -1], _LEVELS).tolist(),
                "seconds": float(np.mean([run["seconds"] for run in runs])),
                "p_value": _wilcoxon(runs, _others(trials, algorithm, encoding, reference), measure),
            }
        )
    rows.sort(key=lambda row: sign * row["at"][max(row["at"])][0])
    return [row | {"rank": rank} for rank, row in enumerate(rows, 1)]


def reference_arm(reference: str) -> tuple[str | None, str]:
    """Algorithm and encoding of what others are tested against; None for the algorithm of each."""
    algorithm, comma, encoding = reference.rpartition(",")
    return (algorithm.strip() if comma else None), encoding.strip()


def check_reference(reference: str, settings: CompareSettings, folder: Path) -> None:
    """Raise ValueError for a reference that is among neither what is compared nor what the folder has already."""
    stored = [read_settings(folder)] if (folder / SETTINGS_FILE).is_file() else []
    arms = [arm for compared in (settings, *stored) for arm in compared.arms()]
    of, against = reference_arm(reference)
    if of is None:
        encodings = {encoding for _, encoding in arms} - {NO_ENCODING} | set(settings.encodings)
    else:
        algorithms = {algorithm for algorithm, _ in arms}
        if of not in algorithms:
            raise unknown("algorithm to compare with (--against)", of, algorithms)
        encodings = {encoding for algorithm, encoding in arms if algorithm == of}
    if against not in encodings:
        raise unknown("encoding to compare with (--against)", against, encodings)


def _others(trials: dict[tuple[str, str], list[dict]], algorithm: str, encoding: str, reference: str) -> list[dict]:
    """The trials that an arm is tested against: none of the reference itself, nor of what looks at no encoding where
    encodings are compared.
    """
    of, against = reference_arm(reference)
    if (algorithm, encoding) == (of or algorithm, against) or (of is None and encoding == NO_ENCODING):
        return []
    return trials.get((of or algorithm, against), [])


def _wilcoxon(runs: list[dict], others: list[dict], measure: str) -> float | None:
    from scipy.stats import wilcoxon

    other = {run["seed"]: run[measure][-1] for run in others}
    differences = np.array([run[measure][-1] - other[run["seed"]] for run in runs if run["seed"] in other])
    if np.count_nonzero(differences) < 2:
        return None
    return float(wilcoxon(differences).pvalue)


def footer(
    facts: dict[str, Any], settings: CompareSettings, command: str | None, reference: str = REFERENCE
) -> list[str]:
    """Oracle, candidates, seeds and versions, a line each."""
    last = settings.seed + settings.trials - 1
    where = f" with {settings.where}" if settings.where else ""
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    same = facts["guided_by"] == facts["reported"]
    oracles = "Guided and judged by" if same else f"Guided by: {facts['guided_by']}. Judged by"
    lines = [
        f"{oracles}: {facts['reported']} ({facts['benchmark']}).",
        f"{facts['candidates']:,} candidates of {facts['space']}{where}; seeds {settings.seed} to {last}; "
        "mean ± standard error over the trials.",
    ]
    if facts["best_possible"] is not None:
        field = facts["report_field"]
        unit = "" if field.endswith("accuracy") else f", in the unit of {field}"
        lines.append(f"Regret is the distance to the best candidate, {facts['best_possible']:.6g}{unit}.")
    of, against = reference_arm(reference)
    if any(encoding == against and algorithm == (of or algorithm) for algorithm, encoding in settings.arms()):
        words = f"{against} under the same algorithm" if of is None else f"{of} with {against}"
        lines.append(f"p: Wilcoxon's signed-rank test against {words}, paired by seed.")
    lines.append(f"{versions}, Python {platform.python_version()}.")
    return lines + ([f"`{command}`"] if command else [])


def write_report(
    folder: Path,
    facts: dict[str, Any],
    settings: CompareSettings,
    command: str | None = None,
    reference: str = REFERENCE,
) -> str:
    """Write trials.parquet, summary.csv, table.md, table.tex and the figures into the folder; returns the Markdown.

    Args:
        reference: what the others are tested against, as `summarise` takes it.
    """
    trials = read_trials(folder, settings)
    rows = summarise(trials, facts["best_possible"], reference)
    if not rows:
        raise ValueError(f"{folder}: no trial is finished yet")
    notes = footer(facts, settings, command, reference)
    tables = markdown_table(rows, facts["report_field"]), markdown_quartiles(rows, facts["report_field"])
    markdown = "\n".join(tables) + "\n" + "\n".join(f"{line}  " for line in notes) + "\n"
    _write(folder / "table.md", markdown)
    _write(folder / "table.tex", latex_table(rows, facts["report_field"], notes))
    _write_summary(folder / "summary.csv", rows)
    _write_trials(folder / "trials.parquet", trials)
    for algorithm in settings.algorithms:
        draw(folder / f"regret-{slug(algorithm)}", facts, trials, algorithm)
    if len(rows) <= _TOGETHER:
        arms = [(row["algorithm"], row["encoding"]) for row in rows]
        draw(folder / "regret", facts, {arm: trials[arm] for arm in arms})
    return markdown


def _cells(rows: list[dict], field: str) -> tuple[list[str], list[list[str]], list[tuple[int, int]]]:
    """Header, cells as text, and (row, column) of the best of each column of numbers."""
    points = sorted({q for row in rows for q in row["at"]})
    scale, unit = _unit(rows, field)
    name = ("regret" if rows[0]["measure"] == "regret" else "best") + unit
    header = ["rank", "algorithm", "encoding", "trials", *(f"{name} @{q}" for q in points), "p", "s a trial"]
    body, best = [], []
    for row in rows:
        numbers = [_number(row["at"].get(q), scale) for q in points]
        p = "–" if row["p_value"] is None else f"{row['p_value']:.3g}"
        leading = [str(row["rank"]), row["algorithm"], row["encoding"], str(row["trials"])]
        body.append([*leading, *numbers, p, f"{row['seconds']:.1f}"])
    choose = np.nanargmin if rows[0]["measure"] == "regret" else np.nanargmax
    for column, q in enumerate(points):
        means = [row["at"][q][0] if q in row["at"] else np.nan for row in rows]
        best.append((int(choose(means)), 4 + column))
    return header, body, best


def _unit(rows: list[dict], field: str) -> tuple[float, str]:
    scale, unit = percentage_points(field, [{"best_so_far": [row["best_so_far"]]} for row in rows])
    return scale, f", {unit.strip()}" if unit else ""


def _number(pair: tuple[float, float] | None, scale: float) -> str:
    if pair is None:
        return "–"
    spread = "" if np.isnan(pair[1]) else f" ± {scale * pair[1]:.3f}"
    return f"{scale * pair[0]:.3f}{spread}"


def markdown_table(rows: list[dict], field: str) -> str:
    """The summary, the best of each column in bold."""
    header, body, best = _cells(rows, field)
    for row, column in best:
        body[row][column] = f"**{body[row][column]}**"
    return markdown(header, body)


def markdown(header: list[str], body: list[list[str]]) -> str:
    """A table in Markdown."""
    return "".join("| " + " | ".join(line) + " |\n" for line in (header, ["---"] * len(header), *body))


def markdown_quartiles(rows: list[dict], field: str) -> str:
    """How the trials of each arm are spread at the end."""
    scale, unit = _unit(rows, field)
    name = rows[0]["measure"].replace("_", " ")
    header = ["algorithm", "encoding", f"least {name}{unit}", "first quartile", "median", "third quartile", "most"]
    body = [[row["algorithm"], row["encoding"], *(f"{scale * q:.3f}" for q in row["quartiles"])] for row in rows]
    return markdown(header, body)


def latex_table(rows: list[dict], field: str, notes: list[str]) -> str:
    """The same as a LaTeX table of booktabs."""
    header, body, best = _cells(rows, field)
    body = [[_latex(cell) for cell in line] for line in body]
    for row, column in best:
        body[row][column] = rf"\textbf{{{body[row][column]}}}"
    lines = [
        rf"\begin{{tabular}}{{rll{'r' * (len(header) - 3)}}}",
        r"\toprule",
        " & ".join(map(_latex, header)) + r" \\",
        r"\midrule",
        *(" & ".join(line) + r" \\" for line in body),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join([*(f"% {note}" for note in notes), *lines]) + "\n"


def _latex(text: str) -> str:
    for plain, escaped in (("%", r"\%"), ("_", r"\_"), ("±", r"$\pm$"), ("–", "--"), ("&", r"\&"), ("#", r"\#")):
        text = text.replace(plain, escaped)
    return text


def _write(path: Path, text: str) -> None:
    with atomic_output(path, overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _write_summary(path: Path, rows: list[dict]) -> None:
    points = sorted({q for row in rows for q in row["at"]})
    plain = ("rank", "algorithm", "encoding", "trials", "measure", "p_value", "seconds")
    names = [f"{kind}_{q}" for q in points for kind in ("mean", "standard_error")]
    with atomic_output(path, overwrite=True) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*plain, *names])
        for row in rows:
            numbers = [value for q in points for value in row["at"].get(q, (None, None))]
            writer.writerow([row[name] for name in plain] + numbers)


def _write_trials(path: Path, trials: dict[tuple[str, str], list[dict]]) -> None:
    """One row a query of every trial."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, list] = {
        name: []
        for name in ("algorithm", "encoding", "seed", "query", "hash", "value", "reported", "best_so_far", "regret")
    }
    for (algorithm, encoding), runs in trials.items():
        for run in runs:
            count = len(run["queries"])
            columns["algorithm"] += [algorithm] * count
            columns["encoding"] += [encoding] * count
            columns["seed"] += [run["seed"]] * count
            columns["query"] += range(1, count + 1)
            for name in ("hash", "value", "reported"):
                columns[name] += [query[name] for query in run["queries"]]
            columns["best_so_far"] += run["best_so_far"]
            columns["regret"] += run["regret"] or [None] * count
    with atomic_output(path, overwrite=True) as temporary:
        pq.write_table(pa.table(columns), temporary, compression="zstd")


def draw(
    stem: Path, facts: dict[str, Any], trials: dict[tuple[str, str], list[dict]], algorithm: str | None = None
) -> None:
    """Regret of one algorithm with each encoding, and of those without any beside it, or of all arms where none is
    named, as PNG and SVG; the best so far where the best possible is not known.
    """
    from cate_hf.search.figure import draw_regret

    measure = "best_so_far" if facts["best_possible"] is None else "regret"
    results = {
        (name if encoding == NO_ENCODING else f"{name}, {encoding}"): facts | {"trials": runs}
        for (name, encoding), runs in trials.items()
        if runs and (algorithm in (None, name) or encoding == NO_ENCODING)
    }
    for suffix in (".png", ".svg"):
        if results:
            draw_regret(results, stem.with_suffix(suffix), overwrite=True, measure=measure)
