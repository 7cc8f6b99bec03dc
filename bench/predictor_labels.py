"""Several labels: one joint predictor beside one for each, and a predictor of one task as the start of another's.

    python bench/predictor_labels.py --joint 100 --seeds 3 --output labels.jsonl
    python bench/predictor_labels.py --transfer 20 50 100 --seeds 3 --output labels.jsonl
    python bench/predictor_labels.py --spaces 20 50 100 --benchmark cells.parquet --seeds 3 --output labels.jsonl
        [--source-labels 469] [--source FIELD] [--target FIELD] [--members K]

NAS-Bench-201. Both measure Kendall τ on the graphs that bench/predictor_tau.py tests, from which no labels are drawn.
--joint N: N graphs with accuracies on three data sets, latency and training time, all of one or each of five
predictors. --transfer N ..: a predictor of the source field (--source-labels graphs) is the encoder that predictors of
the target field from N graphs start from, beside the bundled encoder, which has seen no label, and beside the source's
own predictions, for which no label of the target is needed. The labelled graphs of the target are others than those of
the source. --spaces N ..: the same from NAS-Bench-101 (mean test accuracy, --benchmark) to NAS-Bench-201 (CIFAR-10), by
an encoder of both. Lines are written as they come, and those that the output has already are not measured again;
without --joint, --transfer and --spaces the tables of what it holds are printed.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from predictor_tau import split

from cate_hf.benchmarks import find_benchmark
from cate_hf.experiments._prediction import mean_and_spread
from cate_hf.predictor import fit_predictor
from cate_hf.predictor.members import predict_members
from cate_hf.predictor.report import measures
from cate_hf.spaces import get_space

SPACE, TEST_SIZE = "nasbench201", 5000
JOINT = (
    "cifar10_validation_accuracy",
    "cifar100_validation_accuracy",
    "imagenet16_120_validation_accuracy",
    "cifar10_latency_seconds",
    "cifar10_training_seconds",
)


class Lines:
    """What was measured, one line each."""

    def __init__(self, file: Path):
        self.file = file
        self.all = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []

    def has(self, **key) -> bool:
        return any(all(line.get(name) == value for name, value in key.items()) for line in self.all)

    def add(self, **line) -> None:
        self.all.append(line)
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(line, flush=True)


class Data:
    """The graphs of the space and their labels by field; NaN where there is none."""

    def __init__(self, fields):
        benchmark = find_benchmark(get_space(SPACE), None)
        pool = benchmark.candidates()
        self.values = {field: benchmark.query_many(pool, field, missing="nan") for field in fields}
        kept = ~np.isnan(list(self.values.values())).any(axis=0)
        self.table = pool[kept].replace_columns({})
        self.values = {field: values[kept] for field, values in self.values.items()}
        self.test, self.rest = split(len(self.table), TEST_SIZE, False)

    def fit(self, rows, fields, seed: int, **settings):
        labels = {field: self.values[field][rows] for field in fields}
        return fit_predictor(self.table[rows], labels, space=SPACE, seed=seed, **settings)

    def tau(self, predictor, field: str, predicted_field: str | None = None) -> float:
        predicted, _ = predictor.predict(self.table[self.test], predicted_field or field)
        return measures(predicted, self.values[field][self.test])["kendall_tau"]


def joint(lines: Lines, n: int, seeds: int, members: int | None) -> None:
    data = Data(JOINT)
    for seed in range(seeds):
        rows = np.random.default_rng([seed, n]).choice(data.rest, n, replace=False)
        for method, groups in (("one for all", [JOINT]), ("one each", [(field,) for field in JOINT])):
            key = {"part": "joint", "labels": n, "seed": seed, "method": method}
            if lines.has(**key):
                continue
            start, taus = time.perf_counter(), {}
            for fields in groups:
                predictor = data.fit(rows, fields, seed, members=members)
                taus |= {field: data.tau(predictor, field) for field in fields}
            lines.add(**key, kendall_tau=taus, tested=len(data.test), seconds=time.perf_counter() - start)


def transfer(lines: Lines, options) -> None:
    source, target = options.source, options.target
    data = Data((source, target))
    for seed in range(options.seeds):
        rows = np.random.default_rng([seed, options.source_labels]).permutation(data.rest)
        first, others = rows[: options.source_labels], rows[options.source_labels :]
        base = {"part": "transfer", "source": source, "target": target, "source_labels": options.source_labels}
        base |= {"seed": seed, "tested": len(data.test)}
        todo = [n for n in options.transfer if not lines.has(**base, labels=n, method="from the source's predictor")]
        if not todo:
            continue
        known = data.fit(first, (source,), seed, members=options.members)
        if not lines.has(**base, labels=0):
            lines.add(
                **base, labels=0, method="the source's predictor as it is", kendall_tau=data.tau(known, target, source)
            )
        with tempfile.TemporaryDirectory() as folder:
            known.save(Path(folder) / "source", keep_labels=False)
            for n in todo:
                chosen = others[:n]
                for method, encoder in (
                    ("from the encoder alone", None),
                    ("from the source's predictor", str(Path(folder) / "source")),
                ):
                    if lines.has(**base, labels=n, method=method):
                        continue
                    predictor = data.fit(chosen, (target,), seed, members=options.members, encoder=encoder)
                    lines.add(**base, labels=n, method=method, kendall_tau=data.tau(predictor, target))


def spaces(lines: Lines, options) -> None:
    target = JOINT[0]
    data = Data((target,))
    benchmark = find_benchmark(get_space("nasbench101"), options.benchmark)
    pool = benchmark.candidates().replace_columns({})
    for seed in range(options.seeds):
        base = {"part": "spaces", "source": "nasbench101", "target": target, "source_labels": options.source_labels}
        base |= {"seed": seed, "tested": len(data.test)}
        known = pool[np.random.default_rng(seed).choice(len(pool), options.source_labels, replace=False)]
        settings = {"members": options.members, "seed": seed}
        with tempfile.TemporaryDirectory() as folder:
            start = Path(folder) / "source"
            values = benchmark.query_many(known, benchmark.default_field)
            first = fit_predictor(known, values, encoder="mixed", space="nasbench101", **settings)
            first.save(start, keep_labels=False)
            if not lines.has(**base, labels=0):
                predicted = predict_members(first.models, first.tokenizer, data.table[data.test])[..., 0].mean(0)
                tau = measures(predicted, data.values[target][data.test])["kendall_tau"]
                lines.add(**base, labels=0, method="members of NAS-Bench-101's predictor as they are", kendall_tau=tau)
            for n in options.spaces:
                rows = np.random.default_rng([seed, n]).choice(data.rest, n, replace=False)
                for method, encoder in (
                    ("from the encoder of NAS-Bench-201", None),
                    ("from the encoder of both", "mixed"),
                    ("from NAS-Bench-101's predictor", str(start)),
                ):
                    if not lines.has(**base, labels=n, method=method):
                        predictor = data.fit(rows, (target,), encoder=encoder, **settings)
                        lines.add(**base, labels=n, method=method, kendall_tau=data.tau(predictor, target))


def tables(lines: list[dict]) -> str:
    text = []
    for n in sorted({line["labels"] for line in lines if line["part"] == "joint"}):
        those = [line for line in lines if line["part"] == "joint" and line["labels"] == n]
        text += ["| |" + "".join(f" {field} |" for field in JOINT) + " s |", "|---|" + "---|" * (len(JOINT) + 1)]
        for method in dict.fromkeys(line["method"] for line in those):
            of = [line for line in those if line["method"] == method]
            cells = [_cell([line["kendall_tau"][field] for line in of]) for field in JOINT]
            seconds = np.mean([line["seconds"] for line in of])
            text.append(f"| {method}, {n} labels |" + "".join(f" {cell} |" for cell in cells) + f" {seconds:.0f} |")
        text.append("")
    for part in ("transfer", "spaces"):
        text += _of_transfer([line for line in lines if line["part"] == part])
    return "\n".join(text)


def _of_transfer(those: list[dict]) -> list[str]:
    labels = sorted({line["labels"] for line in those})
    text = ["", "| |" + "".join(f" n = {n} |" for n in labels), "|---|" + "---|" * len(labels)] if those else []
    for method in dict.fromkeys(line["method"] for line in those):
        taus = [
            [line["kendall_tau"] for line in those if (line["method"], line["labels"]) == (method, n)] for n in labels
        ]
        text.append(f"| {method} |" + "".join(f" {_cell(t) if t else '–'} |" for t in taus))
    return text


def _cell(values: list[float]) -> str:
    mean, spread = mean_and_spread(values)
    return f"{mean:.3f}" if np.isnan(spread) else f"{mean:.3f} ± {spread:.3f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--joint", type=int, metavar="N")
    parser.add_argument("--transfer", type=int, nargs="+", metavar="N")
    parser.add_argument("--spaces", type=int, nargs="+", metavar="N")
    parser.add_argument("--benchmark", help="file of NAS-Bench-101's results, for --spaces")
    parser.add_argument("--source", default="cifar10_validation_accuracy")
    parser.add_argument("--target", default="imagenet16_120_validation_accuracy")
    parser.add_argument("--source-labels", type=int, default=469)
    parser.add_argument("--members", type=int)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    lines = Lines(options.output)
    if options.joint:
        joint(lines, options.joint, options.seeds, options.members)
    if options.transfer:
        transfer(lines, options)
    if options.spaces:
        spaces(lines, options)
    print(tables(lines.all))
    return 0


if __name__ == "__main__":
    sys.exit(main())
