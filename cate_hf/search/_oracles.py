"""Which number of a benchmark guides a search, and which one judges it: a field, or one of three names."""

import dataclasses
import inspect
from dataclasses import dataclass
from typing import Any

from cate_hf.benchmarks import Benchmark

# Name -> field, and the run of it. Published comparisons differ in these, and so do their figures.
ORACLES: dict[str, tuple[str, int | str]] = {
    "one-run-validation": ("validation_accuracy", 0),
    "mean-validation": ("validation_accuracy", "mean"),
    "mean-test": ("test_accuracy", "mean"),
}


@dataclass(frozen=True)
class Oracle:
    """A number of a benchmark.

    Attributes:
        field: of the benchmark; words: what it is.
        options: how the benchmark is asked for it.
    """

    field: str
    words: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


def find_oracle(benchmark: Benchmark, text: str | None = None) -> Oracle:
    """The number of a benchmark that a text names: one of its fields, or of `ORACLES`; its default field when None.

    Of a benchmark with several numbers of epochs, `validation_accuracy_12` is its validation_accuracy after 12.

    Of a benchmark that knows its runs, "one-run-validation" is the first run; a table with a number a cell has those
    that its description says.

    Raises:
        ValueError: the benchmark does not have it.
    """
    if text not in ORACLES:
        name = text or benchmark.default_field
        field_, _, number = name.rpartition("_")
        if name not in benchmark.fields and field_ in benchmark.fields and number.isdecimal():
            if int(number) in getattr(benchmark, "epochs", ()):
                of_epochs: Any = benchmark.oracle
                return Oracle(field_, of_epochs(field_, epochs=int(number)), {"epochs": int(number)})
        return Oracle(name, benchmark.oracle(name))
    name, run = ORACLES[text]
    if name not in benchmark.fields:
        raise ValueError(f"{benchmark.name} has no {text}: no {name} among its fields {', '.join(benchmark.fields)}")
    of_runs: Any = benchmark.oracle
    if "run" in inspect.signature(of_runs).parameters:
        try:
            if run != "mean":
                return Oracle(name, of_runs(name, run=run), {"run": run})
        except ValueError:  # a table, whose runs are not known
            pass
    words = benchmark.oracle(name)
    if ("mean" if run == "mean" else "one run") not in words:
        raise ValueError(f"{benchmark.name} has no {text}: its {name} is {words}")
    return Oracle(name, words)
