"""A predictor from a table of labelled architectures: what `cate finetune` does."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cate_hf.benchmarks import find_benchmark
from cate_hf.benchmarks.table.table_benchmark import TableBenchmark
from cate_hf.core._files import check_output
from cate_hf.hub._layout import OWN_FILES
from cate_hf.predictor._labels import LEAST_LABELS
from cate_hf.predictor._save import EXTRA_FILES
from cate_hf.predictor.fit import fit_predictor
from cate_hf.predictor.report import report
from cate_hf.predictor.targets import check_values
from cate_hf.spaces import get_space

__all__ = ["finetune_to_folder"]


def finetune_to_folder(
    space: str,
    output_dir: str | Path,
    train_size: int,
    table: str | None = None,
    model: str | None = None,
    fields: Sequence[str] = (),
    seed: int = 0,
    test_size: int = 20_000,
    keep_labels: bool = True,
    overwrite: bool = False,
    progress: bool = False,
    command: str | None = None,
    **settings,
) -> dict:
    """Fit a predictor to labels of a table, measure it on others, and write its folder; returns its facts.

    Args:
        space: a name, or a YAML file.
        output_dir: folder to write.
        train_size: labelled architectures to learn from, drawn at random.
        table: as `cate_hf.benchmarks.find_benchmark` takes it.
        model: encoder to start from; the one bundled for the space when None.
        fields: of the table; its own choice when empty. Architectures without one of them are left out.
        seed: of the drawn labels, of the heads and of the order.
        test_size: architectures that are drawn from those that were not trained on.
        keep_labels: write the labels too, so that the predictor can be updated.
        overwrite: replace the folder when it exists.
        progress: draw a progress bar.
        command: that makes the predictor, for its card.
        **settings: of `cate_hf.predictor.fit_predictor`.

    Raises:
        ValueError: a table, a field or a size that does not fit, or as `fit_predictor`.
        FileExistsError: the folder exists and overwrite was not asked for, or holds something else.
    """
    check_output(output_dir, overwrite, (*OWN_FILES, *EXTRA_FILES))
    search_space = get_space(space)
    benchmark = find_benchmark(search_space, table)
    names = list(fields) or [benchmark.default_field]
    oracles = [benchmark.oracle(name) for name in names]  # an unknown field is refused before any work
    candidates = benchmark.candidates(progress=progress)
    columns = {name: benchmark.query_many(candidates, name, missing="nan") for name in names}
    known = np.flatnonzero(~np.isnan(list(columns.values())).any(axis=0))
    most = len(known) - 2
    having = f"{len(known):,} architectures of {benchmark.name} have {', '.join(names)}"
    if most < LEAST_LABELS:
        raise ValueError(f"{having}; at least {LEAST_LABELS + 2} are needed: {LEAST_LABELS} to learn from, 2 held out")
    if not LEAST_LABELS <= train_size <= most:
        raise ValueError(
            f"train-size must be {LEAST_LABELS} to {most:,}, not {train_size:,}: {having}, and at least 2 are held out"
        )
    if isinstance(benchmark, TableBenchmark):
        _check_labels(benchmark, candidates[known], {name: values[known] for name, values in columns.items()})
    if lacking := len(candidates) - len(known):
        left_out = f"left out {lacking:,} of the {len(candidates):,} architectures of {benchmark.name}"
        warnings.warn(f"{left_out}: without {' or '.join(names)}", stacklevel=2)
    order = np.random.default_rng([seed, train_size]).permutation(known)
    rows, held_out = order[:train_size], np.sort(order[train_size : train_size + test_size])
    bare = candidates.replace_columns({})
    predictor = fit_predictor(
        bare[rows],
        {name: values[rows] for name, values in columns.items()},
        encoder=model,
        space=search_space,
        seed=seed,
        progress=progress,
        **settings,
    )
    labels = {name: values[held_out] for name, values in columns.items()}
    predictor.facts |= {
        "report": report(predictor, bare[held_out], labels, progress=progress),
        "oracle": "; ".join(oracles),
        "command": command,
    }
    predictor.save(output_dir, overwrite, keep_labels)
    return predictor.facts


def _check_labels(table: TableBenchmark, architectures: Any, columns: dict[str, np.ndarray]) -> None:
    """Check all labels before any is drawn: messages then have the rows of the file."""
    rows = table.file_rows(architectures)
    order = np.argsort(rows)
    for name, values in columns.items():
        try:
            check_values(name, values[order], rows[order])
        except ValueError as error:
            raise ValueError(f"{table.path}: {error}") from None
