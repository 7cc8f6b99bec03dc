"""What a comparison is, apart from where and how fast it runs."""

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from cate_hf.files import atomic_output
from cate_hf.search import parse_algorithm
from cate_hf.table import ArchitectureTable

SETTINGS_FILE = "settings.json"
NO_ENCODING = "–"  # of an algorithm that looks at no vectors
_CONDITION = re.compile(r"(nodes|edges)(<=|>=|==|<|>)(\d+)")
_COMPARE = {
    "<=": np.less_equal,
    ">=": np.greater_equal,
    "==": np.equal,
    "<": np.less,
    ">": np.greater,
}

FIXED_ENCODINGS = (
    "adjacency",
    "adjacency-categorical",
    "adjacency-continuous",
    "path",
    "path-truncated",
    "path-categorical",
    "path-categorical-truncated",
    "path-continuous",
    "path-continuous-truncated",
)
PRESETS: dict[str, dict[str, Any]] = {
    "paper-small": {
        "space": "nasbench101",
        "encodings": (*FIXED_ENCODINGS, "d-vae", "arch2vec", "cate", "structure"),
        # Of White et al.'s three subroutines, the last two: perturbing in the encoding, and predicting from it.
        "algorithms": ("random", "regularized-evolution/encoding", "bo-dngo", "cate-dngo-ls"),
        "queries": 150,
        "trials": 20,
    },
    "paper-large": {
        "space": "darts",
        "encodings": ("adjacency", "path-truncated", "structure"),
        "algorithms": ("random", "regularized-evolution", "cate-dngo-ls"),
        "queries": 100,
        "trials": 20,
    },
    # Section 4.3 of Yan et al., with cells of exactly 7 edges left to the training set, where they are already.
    "outside-space": {
        "space": "nasbench101",
        "encodings": ("adjacency", "cate"),
        "algorithms": ("random", "mlp-predictor"),
        "where": "nodes==6,edges>7",
        "queries": 150,
        "trials": 50,
    },
}


@dataclass(frozen=True)
class CompareSettings:
    """Everything that decides the numbers of a comparison; a resumed one must have the same.

    Attributes:
        space: name of the search space, or a YAML file; benchmark: as `cate search` takes it.
        encodings, algorithms: names; every algorithm that looks at vectors runs with every encoding.
        queries, trials, seed: trials have the seeds seed, seed + 1, ….
        guide_field, report_field: what a search is told, and judged by; the benchmark's default when None.
        where: which candidates: conditions on nodes and edges, such as "nodes==6,edges>7".
        pool: a random sample of so many candidates stands for all; None takes all.
    """

    space: str
    benchmark: str | None = None
    encodings: tuple[str, ...] = ("cate", "adjacency")
    algorithms: tuple[str, ...] = ("random", "cate-dngo-ls")
    queries: int = 150
    trials: int = 10
    seed: int = 0
    guide_field: str | None = None
    report_field: str | None = None
    where: str | None = None
    pool: int | None = None

    def __post_init__(self):
        for name in ("encodings", "algorithms"):
            values = getattr(self, name)
            if not values and name == "algorithms":
                raise ValueError("algorithms: at least one is needed")
            if len(set(values)) != len(values):
                raise ValueError(f"{name}: each once, got {', '.join(values)}")
        for name in ("queries", "trials"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, not {self.seed}")
        if self.pool is not None and self.pool < self.queries:
            raise ValueError(f"pool must be at least the {self.queries} queries, not {self.pool}")
        parse_where(self.where)
        needing = [name for name in self.algorithms if parse_algorithm(name)[2]]
        if needing and not self.encodings:
            raise ValueError(f"encodings: {needing[0]} needs at least one")

    def arms(self) -> list[tuple[str, str]]:
        """(algorithm, encoding) of all that is compared; `NO_ENCODING` where the algorithm looks at none."""
        return [
            (algorithm, encoding)
            for algorithm in self.algorithms
            for encoding in (self.encodings if parse_algorithm(algorithm)[2] else (NO_ENCODING,))
        ]

    def difference(self, other: dict[str, Any]) -> str | None:
        """The first field in which a stored comparison differs, in words. More trials are no difference."""
        for item in fields(self):
            mine = json.loads(json.dumps(asdict(self)[item.name]))
            theirs = other.get(item.name)
            if item.name != "trials" and mine != theirs:
                return f"{item.name} is {mine!r} here and {theirs!r} there"
        return None


def preset(name: str, **overrides: Any) -> CompareSettings:
    """A comparison of the paper by name, with overrides that are not None. Raises ValueError for an unknown name."""
    from cate_hf.names import unknown

    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return CompareSettings(**(PRESETS[name] | {k: v for k, v in overrides.items() if v is not None}))


def check_folder(folder: Path, settings: CompareSettings) -> None:
    """Make the folder with the settings, or compare them with those that it has.

    Raises:
        ValueError: it holds another comparison, or something else.
    """
    file = folder / SETTINGS_FILE
    if file.is_file():
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{file}: not readable ({error})") from None
        difference = settings.difference(stored)
        if difference:
            raise ValueError(f"{folder} holds another comparison: {difference}; choose another folder")
        if stored["trials"] >= settings.trials:
            return
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is not empty and holds no comparison; choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_output(file, overwrite=True) as temporary:
        temporary.write_text(json.dumps(asdict(settings), indent=2) + "\n", encoding="utf-8")


def parse_where(text: str | None) -> list[tuple[str, str, int]]:
    """Conditions as (what, comparison, number). Raises ValueError for text that is not conditions."""
    conditions = []
    for part in filter(None, (text or "").replace(" ", "").split(",")):
        found = _CONDITION.fullmatch(part)
        if found is None:
            raise ValueError(f"where: {part!r} is not a condition such as nodes<=6 or edges>7")
        conditions.append((found[1], found[2], int(found[3])))
    return conditions


def select(table: ArchitectureTable, settings: CompareSettings) -> np.ndarray:
    """Rows (M,) of the candidates that a comparison is about, in their order."""
    keep = np.ones(len(table), dtype=bool)
    for what, comparison, number in parse_where(settings.where):
        counts = table.num_nodes if what == "nodes" else np.bitwise_count(table.edge_bits).sum(axis=1)
        keep &= _COMPARE[comparison](counts, number)
    rows = np.flatnonzero(keep)
    if settings.pool is not None and settings.pool < len(rows):
        rows = np.sort(np.random.default_rng([settings.seed, 4]).choice(rows, settings.pool, replace=False))
    if not len(rows):
        raise ValueError(f"where: no candidate has {settings.where}")
    if settings.queries > len(rows):
        raise ValueError(f"queries must be 1 to {len(rows)}, the number of candidates, not {settings.queries}")
    return rows
