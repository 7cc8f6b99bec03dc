"""What else is known, as help for few labels: other devices, other data sets, cheap measurements.

    python bench/predictor_auxiliary.py --devices latency.parquet --labels 5 10 20 --seeds 3 --output devices.jsonl
        [--development] [--of NAME ...] [--methods others none ...]
    python bench/predictor_auxiliary.py --data-sets --labels 50 100 --seeds 3 --output data-sets.jsonl
    python bench/predictor_auxiliary.py --fidelities cells.parquet --labels 50 100 --seeds 3 --output fidelities.jsonl

--devices: NAS-Bench-201, a table of its cells with a column a device; each device of one half (with --development of
the other, by which the design was chosen) is predicted with all other devices as auxiliary columns, with those of
other families alone (1080ti and 2080ti are one, and so are all titans), without any, and with architectures that
`suggest_measurements` chose. Spearman's ρ on cells that no labels are drawn from. --data-sets: accuracy on CIFAR-100
and ImageNet16-120 with that on CIFAR-10 known of all cells, or of those that are labelled alone. --fidelities:
NAS-Bench-101, validation accuracy of one run after 108 epochs with that after 4, 12 and 36 epochs known of all cells.
Kendall τ there. Simple parts alone (`members=0`), on structural statistics and adjacency, and with --encoder on the
space's encoding too. Lines are written as they come, and those that the output has already are not measured again;
without --labels the tables of what it holds are printed.
"""

import argparse
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from predictor_labels import Lines

from cate_hf import fit_predictor, get_space, load_encoder
from cate_hf.benchmarks import find_benchmark
from cate_hf.experiments._prediction import mean_and_spread
from cate_hf.predictor import suggest_measurements
from cate_hf.spaces.rows import read_table
from cate_hf.surrogates.measures import measures

DEVELOPMENT = (
    "1080ti_1 1080ti_256 2080ti_32 essential_ph_1 gold_6226 pixel2 samsung_a50 silver_4114 titan_rtx_256 titanx_1 "
    "titanxp_32"
).split()
TESTED = 3000


class Measured:
    """Architectures of a space, what is tested and what labels are drawn from, and what was measured."""

    def __init__(self, space, table, options):
        self.space, self.table, self.options = space, table, options
        order = np.random.default_rng(77 if options.development else 78).permutation(len(table))
        self.test, self.rest = order[:TESTED], order[TESTED:]
        self.lines = Lines(options.output)
        self.encoder = load_encoder(space.name) if options.encoder else None

    def line(self, task: str, method: str, n: int, seed: int, name: str, values: np.ndarray, auxiliary, rows=None):
        if self.options.methods and method not in self.options.methods:
            return
        key = {"task": task, "method": method, "labels": n, "seed": seed, "encoder": self.options.encoder}
        if self.lines.has(**key):
            return
        if rows is None:
            rows = np.random.default_rng([seed, n]).choice(self.rest, n, replace=False)
        elif callable(rows):
            rows = rows()
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            predictor = fit_predictor(
                self.table[rows],
                {name: values[rows]},
                encoder=self.encoder,
                space=self.space,
                seed=seed,
                members=0,
                auxiliary=auxiliary(rows) if callable(auxiliary) else auxiliary,
            )
        seconds = time.perf_counter() - start
        predicted, _ = predictor.predict(self.table[self.test])
        low, high = predictor.interval(self.table[self.test], 0.9)
        true = values[self.test]
        found = measures(predicted, true)
        found |= {"coverage_90": float(np.mean((low <= true) & (true <= high))), "lowest": float(low.min())}
        self.lines.add(**key, **found, seconds=seconds)


def family(device: str) -> str:
    """Such as ti, pixel, titan, silver: the letters of the first word."""
    word = "".join(letter for letter in device.split("_")[0] if letter.isalpha())
    return "titan" if word.startswith("titan") else word


def devices(options) -> Measured:
    space = get_space("nasbench201")
    table, _ = read_table(options.devices, space)
    all_devices = [name for name in table.columns if name not in ("hash", "architecture")]
    wanted = [name for name in all_devices if (name in DEVELOPMENT) == options.development]
    measured = Measured(space, table.replace_columns({"architecture": table.columns["architecture"]}), options)
    for seed in range(options.seeds):
        for n in options.labels or ():
            for device in options.of or wanted:
                values = np.asarray(table.columns[device], np.float64)
                others = without(table, [device])
                key = (device, "others", n, seed, "latency", values)
                measured.line(*key, others)
                measured.line(device, "none", n, seed, "latency", values, None)
                family_too = [name for name in all_devices if family(name) == family(device)]
                measured.line(device, "other families", n, seed, "latency", values, without(table, family_too))

                def suggested(seed=seed, others=others, n=n) -> np.ndarray:
                    among = measured.rest[np.random.default_rng([seed, 9]).permutation(len(measured.rest))[:4000]]
                    chosen = suggest_measurements(space, n, others[among], auxiliary=others[among], seed=seed)
                    row_of = {text: row for row, text in enumerate(table.columns["architecture"])}
                    return np.array([row_of[text] for text in chosen.columns["text"]])

                measured.line(device, "others, suggested", n, seed, "latency", values, others, suggested)
    return measured


def without(table, names):
    """A table without columns of these names."""
    return table.replace_columns({name: v for name, v in table.columns.items() if name not in names})


def data_sets(options) -> Measured:
    benchmark = find_benchmark(get_space("nasbench201"), None)
    pool = benchmark.candidates()
    fields = [f"{data}_validation_accuracy" for data in ("cifar10", "cifar100", "imagenet16_120")]
    values = {field: benchmark.query_many(pool, field, missing="nan") for field in fields}
    kept = ~np.isnan(list(values.values())).any(axis=0)
    table = pool[kept].replace_columns({"hash": pool[kept].columns["hash"]})
    values = {field: column[kept] for field, column in values.items()}
    measured = Measured(get_space("nasbench201"), table, options)
    source = fields[0]
    known = table.with_columns(**{source: values[source]})
    for field in fields[1:]:
        for n in options.labels or ():
            for seed in range(options.seeds):
                measured.line(field, "none", n, seed, field, values[field], None)
                measured.line(field, "known of all", n, seed, field, values[field], known)
                few = {source: values[source]}
                measured.line(
                    field, "known of the labelled", n, seed, field, values[field],
                    lambda rows, few=few: {name: column[rows] for name, column in few.items()},
                )  # fmt: skip
    return measured


def fidelities(options) -> Measured:
    space = get_space("nasbench101")
    benchmark = find_benchmark(space, options.fidelities)
    pool = benchmark.candidates()
    import pyarrow.parquet as pq

    columns = pq.read_table(options.fidelities)
    rows = {h: i for i, h in enumerate(columns["hash"].to_pylist())}
    at = np.array([rows[str(h)] for h in pool.columns["hash"]])
    names = [f"validation_accuracy_{epochs}" for epochs in (4, 12, 36, 108)]
    values = {name: columns[name].to_numpy(zero_copy_only=False)[at].astype(np.float64) for name in names}
    kept = np.flatnonzero(~np.isnan(list(values.values())).any(axis=0))
    kept = kept[np.random.default_rng(6).permutation(len(kept))[:8000]]
    table = pool[kept].replace_columns({"hash": pool[kept].columns["hash"]})
    values = {name: column[kept] for name, column in values.items()}
    measured = Measured(space, table, options)
    last = names[-1]
    for n in options.labels or ():
        for seed in range(options.seeds):
            measured.line(last, "none", n, seed, last, values[last], None)
            for count in (1, 2, 3):
                known = table.with_columns(**{name: values[name] for name in names[:count]})
                measured.line(last, f"after {names[count - 1][20:]} epochs", n, seed, last, values[last], known)
            alone = measures(values[names[2]][measured.test], values[last][measured.test])
            key = {"task": last, "method": "36 epochs as they are", "labels": n, "seed": seed}
            if not measured.lines.has(**key):
                measured.lines.add(**key, encoder=options.encoder, **alone)
    return measured


def tables(lines: list[dict], measure: str) -> str:
    """A row a task and method, a column a number of labels; and the mean over the tasks."""
    labels = sorted({line["labels"] for line in lines})
    tasks, methods = (list(dict.fromkeys(line[name] for line in lines)) for name in ("task", "method"))
    text = ["| | |" + "".join(f" n = {n} |" for n in labels), "|---|---|" + "---|" * len(labels)]
    for method in methods:
        for task in [*(tasks if len(tasks) > 1 else []), None]:
            row = f"| {task or 'mean'} | {method} |"
            for n in labels:
                of = [line for line in lines if (line["method"], line["labels"]) == (method, n)]
                seeds = [
                    np.mean([line[measure] for line in of if line["seed"] == seed and task in (None, line["task"])])
                    for seed in sorted({line["seed"] for line in of if task in (None, line["task"])})
                ]
                mean, spread = mean_and_spread(seeds) if seeds else (np.nan, np.nan)
                row += f" {mean:.3f}{'' if np.isnan(spread) else f' ± {spread:.3f}'} |"
            text.append(row)
    covered = [line["coverage_90"] for line in lines if "coverage_90" in line]
    return "\n".join(text) + (f"\n\nwithin 90 % intervals: {np.mean(covered):.3f}" if covered else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--devices", type=Path)
    kind.add_argument("--data-sets", action="store_true")
    kind.add_argument("--fidelities", type=Path)
    parser.add_argument("--of", nargs="+", help="devices to predict")
    parser.add_argument("--methods", nargs="+", help="those of the table's rows that are measured")
    parser.add_argument("--labels", type=int, nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--development", action="store_true")
    parser.add_argument("--encoder", action="store_true")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    run = devices if options.devices else data_sets if options.data_sets else fidelities
    print(tables(run(options).lines.all, "spearman" if options.devices else "kendall_tau"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
