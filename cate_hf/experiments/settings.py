"""What a comparison is, apart from where and how fast it runs."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from cate_hf.core._files import atomic_output
from cate_hf.graphs.conditions import parse_where, where_rows
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.search import parse_algorithm

__all__ = ["NO_ENCODING", "CompareSettings", "parse_options", "preset"]

SETTINGS_FILE = "settings.json"
NO_ENCODING = "–"  # of an algorithm that looks at no vectors
_SETTING = re.compile(r"([^=]+)\.([^.=]+)=(.*)")

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
        # White et al.'s three subroutines: drawing, perturbing, and training a predictor; then the paper's own search.
        "algorithms": ("random/encoding", "regularized-evolution/encoding", "neural-predictor", "cate-dngo-ls"),
        "queries": 150,
        "trials": 20,
    },
    # Guided by the NAS-Bench-301 surrogate; an evolution needs open steps, for hardly a neighbour is in a sample.
    "paper-large": {
        "space": "darts",
        "encodings": ("cate", "adjacency", "path-truncated", "structure"),
        "algorithms": ("random", "regularized-evolution/open", "local-search/open", "bo-dngo", "cate-dngo-ls"),
        "queries": 100,
        "trials": 20,
        "pool": 100_000,
    },
    # Section 4.3 of Yan et al., with cells of exactly 7 edges left to the training set, where they are already. The
    # checkpoint to compare is one of `cate pairs nasbench101 --where "nodes<=6,edges<=7"`.
    "outside-space": {
        "space": "nasbench101",
        "encodings": ("adjacency", "structure"),
        "algorithms": ("random", "mlp-predictor"),
        "where": "nodes==6,edges>7",
        "queries": 150,
        "trials": 50,
    },
}
REFERENCE_WHERE = {"outside-space": "nodes==6,edges>=7"}  # the candidates of the public reference code


@dataclass(frozen=True)
class CompareSettings:
    """Everything that decides the numbers of a comparison; a resumed one must have the same.

    Attributes:
        space: name of the search space, or a YAML file; benchmark: as `cate search` takes it.
        encodings, algorithms: names; every algorithm that looks at vectors runs with every encoding.
        queries, trials, seed: trials have the seeds seed, seed + 1, ….
        guide_field, report_field: what a search is told, and judged by: a field of the benchmark or a name of
            `cate_hf.search._oracles`; the benchmark's default, and what guides, when None.
        where: which candidates: conditions on nodes and edges, such as "nodes==6,edges>7".
        pool: a random sample of so many candidates stands for all; None takes all.
        options: settings of algorithms, each (algorithm, setting, value); of `NAME` they are of `NAME/encoding` too.
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
    options: tuple[tuple[str, str, Any], ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "options", tuple(tuple(option) for option in self.options))
        for name in ("encodings", "algorithms"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
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
        for algorithm in self.algorithms:
            parse_algorithm(algorithm)[0].checked(self.settings_of(algorithm), algorithm)
        known = {*self.algorithms, *(name.partition("/")[0] for name in self.algorithms)}
        for algorithm, _, _ in self.options:
            if algorithm not in known:
                raise ValueError(f"a setting of {algorithm!r}, which is not among the algorithms compared")

    def settings_of(self, algorithm: str) -> dict[str, Any]:
        """Those that `options` give an algorithm, besides what its name says."""
        chosen: dict[str, Any] = {}
        for names in ({algorithm.partition("/")[0]}, {algorithm}):  # the whole name has the last word
            chosen |= {setting: value for name, setting, value in self.options if name in names}
        return chosen

    def arms(self) -> list[tuple[str, str]]:
        """(algorithm, encoding) of all that is compared; `NO_ENCODING` where the algorithm looks at none."""
        return [
            (algorithm, encoding)
            for algorithm in self.algorithms
            for encoding in (self.encodings if parse_algorithm(algorithm)[2] else (NO_ENCODING,))
        ]

    def difference(self, other: "CompareSettings") -> str | None:
        """The first field in which a stored comparison differs, in words. More trials, and other encodings and
        algorithms, are no difference; other settings of the same algorithm are.
        """
        grows = ("trials", "encodings", "algorithms", "options")
        for name in (item.name for item in fields(self) if item.name not in grows):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                return f"{name} is {mine!r} here and {theirs!r} there"
        for algorithm in (name for name in self.algorithms if name in other.algorithms):
            mine, theirs = self.settings_of(algorithm), other.settings_of(algorithm)
            for name in {**mine, **theirs}:
                if mine.get(name) != theirs.get(name):
                    default = parse_algorithm(algorithm)[0].defaults[name]
                    here, there = mine.get(name, default), theirs.get(name, default)
                    if here != there:
                        return f"{algorithm}.{name} is {here!r} here and {there!r} there"
        return None

    def joined(self, other: "CompareSettings") -> "CompareSettings":
        """Both comparisons: what the other has besides follows."""
        longer: dict[str, Any] = {
            name: tuple(dict.fromkeys((*getattr(self, name), *getattr(other, name))))
            for name in ("encodings", "algorithms", "options")
        }
        return replace(self, trials=max(self.trials, other.trials), **longer)


def preset(name: str, as_reference: bool = False, **overrides: Any) -> CompareSettings:
    """A comparison of the paper by name, with overrides that are not None.

    Args:
        as_reference: with the candidates of the public reference code, where they differ from those that the paper
            states.

    Raises:
        ValueError: an unknown name, or a preset in which the reference has the same candidates.
    """
    from cate_hf.core._names import unknown

    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    if as_reference:
        if name not in REFERENCE_WHERE:
            raise ValueError(f"the reference has no candidates of its own for {name}, only for outside-space")
        overrides["where"] = overrides.get("where") or REFERENCE_WHERE[name]
    return CompareSettings(**(PRESETS[name] | {k: v for k, v in overrides.items() if v is not None}))


def check_folder(folder: Path, settings: CompareSettings) -> CompareSettings:
    """Make the folder with the settings, or compare them with those that it has and add what is new.

    Returns:
        what the folder compares now: more trials, encodings and algorithms than are asked for, where it has them.

    Raises:
        ValueError: it holds another comparison, or something else.
    """
    file = folder / SETTINGS_FILE
    if file.is_file():
        stored = read_settings(folder)
        difference = settings.difference(stored)
        if difference:
            raise ValueError(f"{folder} holds another comparison: {difference}; choose another folder")
        joined = stored.joined(settings)
        if joined == stored:
            return stored
        settings = joined
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is not empty and holds no comparison; choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_output(file, overwrite=True) as temporary:
        temporary.write_text(json.dumps(asdict(settings), indent=2) + "\n", encoding="utf-8")
    return settings


def read_settings(folder: Path) -> CompareSettings:
    """Those of a folder. Raises ValueError where its file is not of a comparison."""
    file = folder / SETTINGS_FILE
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        names = {item.name for item in fields(CompareSettings)}
        strange = [name for name in stored if name not in names]
        if strange:
            raise ValueError(f"{strange[0]!r} is no setting of a comparison")
        return CompareSettings(**stored)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{file}: not readable ({error})") from None


def parse_options(texts: Iterable[str]) -> tuple[tuple[str, str, Any], ...]:
    """Settings of algorithms from texts such as "bo-dngo.epochs=30", values as in YAML: numbers, words, null.

    Raises:
        ValueError: a text that is none, or the same setting twice.
    """
    import yaml

    options: dict[tuple[str, str], Any] = {}
    for text in texts:
        found = _SETTING.fullmatch(text.strip())
        try:
            value = yaml.safe_load(found[3]) if found else None
        except yaml.YAMLError:
            found = None
        if found is None or isinstance(value, dict | list):
            raise ValueError(f"{text!r} is not a setting such as bo-dngo.epochs=30")
        name = found[1].strip(), found[2].strip()
        if name in options:
            raise ValueError(f"the setting {'.'.join(name)} is given twice")
        options[name] = value
    return tuple((*name, value) for name, value in options.items())


def select(table: ArchitectureTable, settings: CompareSettings) -> np.ndarray:
    """Rows (M,) of the candidates that a comparison is about, in their order."""
    rows = where_rows(table, settings.where)
    if settings.pool is not None and settings.pool < len(rows):
        rows = np.sort(np.random.default_rng([settings.seed, 4]).choice(rows, settings.pool, replace=False))
    if settings.queries > len(rows):
        raise ValueError(f"queries must be 1 to {len(rows)}, the number of candidates, not {settings.queries}")
    return rows
