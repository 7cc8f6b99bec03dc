"""What is in an encoding: made-up labels of known form, and linear probes of the canonical drawing. No accuracy needed.

N architectures, L nodes, V operations, D numbers of an encoding.
"""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.core._files import atomic_output
from cate_hf.core._progress import progress_bar
from cate_hf.experiments._prediction import LABELS, best, check_labels, predict, split
from cate_hf.graphs._node_order import canonical_wiring
from cate_hf.graphs.table import PADDING, ArchitectureTable, parts_of
from cate_hf.search.run import encode_candidates
from cate_hf.spaces import Space, get_space

if TYPE_CHECKING:
    import os

__all__ = ["ProbeSettings", "made_up_labels", "probe_encodings", "read_probe"]

RESULT_FILE = "probe.json"
KINDS = ("edges", "operations", "paths", "pairs")
HEADINGS = {
    "edges": "single edges",
    "operations": "operations by place",
    "paths": "paths",
    "pairs": "pairs of nodes",
}
_PREDICTORS = ("ridge", "gp")
_PATH_STATES = 6
_MOST_COLUMNS = 4096  # of a canonical drawing
_ALPHA = 1.0  # of the linear probes, beside thousands of rows


@dataclass(frozen=True)
class ProbeSettings:
    """What is measured; a folder that is continued must have the same.

    Attributes:
        space: a search space's name, or its YAML file.
        labels: numbers of labelled architectures; seeds: draws of the made-up labels.
        pool: how many architectures are looked at, of a space that has so many.
        test_size: how many of them are unseen; as many are set apart.
    """

    space: str
    labels: tuple[int, ...] = LABELS
    seeds: int = 3
    pool: int = 8000
    test_size: int = 2000


def made_up_labels(
    table: ArchitectureTable, drawing: np.ndarray, space: "str | os.PathLike | Space", kind: str, seed: int
) -> np.ndarray:
    """(N,) labels without noise, their weights drawn anew for each seed.

    Args:
        drawing: (N, E + P·O) the canonical adjacency of the table (`canonical_wiring`).
        kind: "edges": a weight for each edge of the canonical drawing. "operations": one for each operation at each of
            its places. "paths": one for each path from an input to the output, by the operations on it: products of a
            random rotation for each operation. "pairs": one for each two operations of which one reaches the other.
    """
    space = get_space(space)
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    edges = space.max_nodes * (space.max_nodes - 1) // 2
    if kind in ("edges", "operations"):
        columns = drawing[:, :edges] if kind == "edges" else drawing[:, edges:]
        return columns @ rng.normal(size=columns.shape[1])
    count = len(table.vocabulary)
    of_pair = rng.normal(size=(count, count)) / count**0.5
    turns = np.linalg.qr(rng.normal(size=(count, _PATH_STATES, _PATH_STATES)))[0]
    found = []
    for start, stop in parts_of(len(table), 4 * table.max_nodes):
        part = table[start:stop]
        codes = np.where(part.operation_codes == PADDING, 0, part.operation_codes).astype(np.int64)
        by = _by_pairs(codes, part.adjacency(), of_pair) if kind == "pairs" else _by_paths(part, codes, turns)
        found.append(by)
    return np.concatenate(found)


def _by_pairs(codes: np.ndarray, adjacency: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Codes (n, L) and adjacency (n, L, L) to (n,)."""
    reach = adjacency.astype(bool)
    for node in range(1, codes.shape[1]):  # in topological order
        reach[:, :, node] |= (reach & reach[:, None, :, node]).any(2)
    return (reach * weights[codes[:, :, None], codes[:, None, :]]).sum((1, 2))


def _by_paths(table: ArchitectureTable, codes: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """A table and its codes (n, L) to (n,), by rotations (V, S, S)."""
    adjacency = table.adjacency().astype(np.float64)
    states = np.zeros((*codes.shape, len(turns[0])))  # the sum over paths that end at each node
    begins = adjacency.sum(1) == 0
    for node in range(codes.shape[1]):
        into = np.einsum("nk,nks->ns", adjacency[:, :node, node], states[:, :node])
        into[begins[:, node]] = np.eye(len(turns[0]))[0]
        states[:, node] = np.einsum("ns,nst->nt", into, turns[codes[:, node]])
    return states[np.arange(len(codes)), table.num_nodes.astype(int) - 1, 0]


def linear_probes(vectors: np.ndarray, drawing: np.ndarray, space: Space, test_size: int) -> dict[str, float]:
    """How often ridge regression finds an operation or an edge of the canonical drawing, as means over places and pairs
    of places where it differs; and the share of the most frequent answer, which needs no encoding.

    Args:
        vectors: (N, D); drawing: (N, E + P·O).
    """
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    test = split(len(vectors), False, test_size)[0]
    train = np.setdiff1d(np.arange(len(vectors)), test)
    scaler = StandardScaler().fit(vectors[train])
    model = Ridge(_ALPHA).fit(scaler.transform(vectors[train]), drawing[train])
    predicted = model.predict(scaler.transform(vectors[test])).reshape(len(test), -1)
    edges = space.max_nodes * (space.max_nodes - 1) // 2
    kinds = len(space.vocabulary) - space.num_inputs - 1

    def with_none(values: np.ndarray) -> np.ndarray:  # (n, P, O + 1): also that there is no operation
        values = values[:, edges:].reshape(len(values), -1, kinds)
        return np.concatenate([values, 1 - values.sum(2, keepdims=True)], 2)

    true, seen, common = (values.argmax(2) for values in map(with_none, (drawing[test], predicted, drawing[train])))
    usual = np.array([np.bincount(column).argmax() for column in common.T])
    varied = (common != usual).any(0)
    joined, mean = drawing[test, :edges] > 0.5, drawing[train, :edges].mean(0)
    free = (mean > 0) & (mean < 1)

    def average(hits: np.ndarray) -> float:
        return float(hits.mean()) if hits.size else float("nan")

    return {
        "operation_probe": average((true == seen)[:, varied]),
        "edge_probe": average((joined == (predicted[:, :edges] > 0.5))[:, free]),
        "operation_usual": average((true == usual)[:, varied]),
        "edge_usual": average((joined == (mean > 0.5))[:, free]),
    }


def probe(
    vectors: np.ndarray,
    table: ArchitectureTable,
    drawing: np.ndarray,
    settings: ProbeSettings,
    on_fit: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Kendall τ of made-up labels by kind and number of labels, and linear probes, of an encoding's vectors (N, D)."""
    space = get_space(settings.space)
    taus: dict[str, dict[str, list[float]]] = {}
    for kind in KINDS:
        of_kind = taus.setdefault(kind, {str(n): [] for n in settings.labels})
        for seed in range(settings.seeds):
            labels = made_up_labels(table, drawing, space, kind, seed)
            found = predict(vectors, labels, settings.labels, 1, False, _PREDICTORS, settings.test_size, on_fit)
            for n in settings.labels:
                of_kind[str(n)].append(best(found[n])[1])
    return {"kendall_tau": taus, "probes": linear_probes(vectors, drawing, space, settings.test_size)}


def probe_encodings(
    output: Path,
    settings: ProbeSettings,
    encodings: Sequence[str],
    command: str | None = None,
    progress: bool = False,
) -> str:
    """What `cate evaluate --probe` does: measure each encoding that the folder lacks, then write probe.json, probe.csv
    and the table probe.md.

    Returns:
        the table in Markdown.

    Raises:
        ValueError: a name that is not known, a folder of other settings, too few architectures, or a space whose
            canonical drawing has more than 4,096 numbers.
    """
    from cate_hf.encodings import get_encoding
    from cate_hf.encodings.registry import check_encodings

    check_encodings(encodings)
    makers = {name: get_encoding(name, settings.space) for name in encodings}
    space, output = get_space(settings.space), Path(output)
    wide = space.max_nodes
    columns = wide * (wide - 1) // 2 + (wide - space.num_inputs - 1) * (len(space.vocabulary) - space.num_inputs - 1)
    if columns > _MOST_COLUMNS:
        raise ValueError(
            f"{space.name}: a canonical drawing has {columns:,} numbers, at most {_MOST_COLUMNS} are probed"
        )
    table = _architectures(space, settings.pool, progress)
    check_labels(len(table), settings.labels, settings.seeds, _PREDICTORS, settings.test_size)
    facts = {"settings": json.loads(json.dumps(asdict(settings))), "architectures": len(table), "encodings": {}}
    if (output / RESULT_FILE).is_file():
        before = read_probe(output)
        if before["settings"] != facts["settings"]:
            raise ValueError(f"{output} holds probes of other settings: {before['settings']}")
        facts["encodings"] = before["encodings"]
    output.mkdir(parents=True, exist_ok=True)
    drawing = canonical_wiring(table.widen(wide), space.num_inputs)
    fits = len(settings.labels) * settings.seeds * len(_PREDICTORS) * len(KINDS)
    for name in encodings:
        if name in facts["encodings"]:
            continue
        vectors = encode_candidates(makers[name], settings.space, table, progress)
        with progress_bar(f"probing {name}", fits, "fits", progress) as advance:
            found = probe(vectors, table, drawing, settings, lambda: advance(1))
        facts["encodings"][name] = {"dim": vectors.shape[1], **found}
        with atomic_output(output / RESULT_FILE, overwrite=True) as temporary:
            temporary.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    text = probe_table(facts["encodings"]) + "\n" + protocol(facts) + "\n" + (f"\n`{command}`\n" if command else "")
    for file, content in (("probe.md", text), ("probe.csv", _as_csv(facts["encodings"]))):
        with atomic_output(output / file, overwrite=True) as temporary:
            temporary.write_text(content, encoding="utf-8", newline="")
    return text


def read_probe(folder: Path) -> dict[str, Any]:
    """What `probe_encodings` wrote into a folder. Raises ValueError where there is nothing of it."""
    file = Path(folder) / RESULT_FILE
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        numbers = [number(of, key) for of in found["encodings"].values() for key in columns_of(found["encodings"])]
        assert all(isinstance(value, float) for value in numbers)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, AssertionError):
        raise ValueError(f"{file}: expected the result of `cate evaluate --probe`") from None
    return found


def protocol(facts: dict[str, Any]) -> str:
    """One sentence on how probes were measured."""
    settings = facts["settings"]
    return (
        f"{facts['architectures']:,} architectures of {settings['space']}, {settings['test_size']:,} of them unseen; "
        f"mean of {settings['seeds']} draws of made-up labels, the better of ridge regression and a Gaussian process; "
        "linear probes by ridge regression from all others."
    )


def columns_of(results: dict[str, dict]) -> list[tuple[str, str]]:
    """(kind, number of labels) of the table's numbers, and ("probes", which)."""
    first = next(iter(results.values()))
    found = [(kind, n) for kind in KINDS for n in first["kendall_tau"][kind]]
    return [*found, ("probes", "operation_probe"), ("probes", "edge_probe")]


def number(result: dict[str, Any], key: tuple[str, str]) -> float:
    """A number of the table."""
    kind, which = key
    return float(result["probes"][which] if kind == "probes" else np.mean(result["kendall_tau"][kind][which]))


def probe_table(results: dict[str, dict]) -> str:
    """The table in Markdown: Kendall τ by kind of label and number of labels, and the two probes."""
    keys = columns_of(results)
    names = {"operation_probe": "operation found", "edge_probe": "edge found"}
    heads = [names.get(n) or f"{HEADINGS[kind]} @{n}" for kind, n in keys]
    lines = ["| encoding | numbers | " + " | ".join(heads) + " |", "|---|---|" + "---|" * len(keys)]
    for name, result in results.items():
        cells = " | ".join(f"{number(result, key):.3f}" for key in keys)
        lines.append(f"| {name} | {result['dim']} | {cells} |")
    usual = next(iter(results.values()))["probes"]
    blank = " | ".join(["–"] * (len(keys) - 2))
    lines.append(f"| most frequent | – | {blank} | {usual['operation_usual']:.3f} | {usual['edge_usual']:.3f} |")
    return "\n".join(lines) + "\n"


def _as_csv(results: dict[str, dict]) -> str:
    """A row an encoding and number."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["encoding", "numbers", "label", "labelled", "value", "standard_deviation"])
    for name, result in results.items():
        for kind, n in columns_of(results):
            spread: Any = ""
            if kind != "probes" and len(result["kendall_tau"][kind][n]) > 1:
                spread = float(np.std(result["kendall_tau"][kind][n], ddof=1))
            labelled = "" if kind == "probes" else n
            rows.writerow(
                [name, result["dim"], n if kind == "probes" else kind, labelled, number(result, (kind, n)), spread]
            )
    return text.getvalue()


def _architectures(space: Space, count: int, progress: bool) -> ArchitectureTable:
    """So many architectures of a space, or all where there are no more, without duplicates."""
    pool = space.pool(progress=progress)
    rows = np.random.default_rng([0, 6]).permutation(len(pool))[:count]
    return space.canonical(pool[np.sort(rows)])
