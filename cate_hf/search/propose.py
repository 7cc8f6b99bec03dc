"""Architectures that a predictor expects to be good, found in the open space: what to train next."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.core._files import atomic_output
from cate_hf.core._progress import progress_bar
from cate_hf.graphs.conditions import gaps, parse_where, sizes
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import get_space
from cate_hf.spaces.darts.pairs import CellPairTable

if TYPE_CHECKING:
    import os

    from cate_hf.predictor import Predictor
    from cate_hf.spaces import Space

__all__ = ["propose", "write_proposals"]

_PARENTS = 16
_MOST_CHILDREN = 2000  # a round
_KEPT = 3000
_CONSIDERED = 20  # times n, by all parts of the predictor


def propose(
    predictor: "Predictor",
    space: "str | os.PathLike | Space | None" = None,
    n: int = 10,
    where: str | None = None,
    diverse: bool = True,
    targets: Sequence[str] | None = None,
    seed: int = 0,
    start: int = 2000,
    rounds: int = 25,
    progress: bool = False,
) -> Any:
    """Return n architectures with the best predictions, none of which the predictor was fitted to.

    An evolution in the open space: from random architectures, in each round all neighbours of the best that have not
    been parents. Of several labels the best are those on the Pareto front: none is as good in every label and better in
    one; parents are then the best under random weights of the labels. The simple parts of the predictor lead, all of it
    decides in the end. Equal arguments give equal proposals.

    Args:
        predictor: of architectures, or of pairs of cells.
        space: where to look; the predictor's when None.
        n: how many.
        where: conditions on nodes, edges, costs of the space and predicted labels, such as "parameters<4e6,latency<5".
        diverse: no proposal is one step from another.
        targets: which labels are to be good; all that the predictor has when None.
        seed: of all that is drawn.
        start: random architectures in the beginning.
        rounds: of at most 2,000 children.
        progress: draw a progress bar.

    Returns:
        a table with columns hash, and of each label predicted and deviation (of several `predicted:NAME`), the best
        first; of several labels the front first. Fewer than n where so few were found.

    Raises:
        ValueError: a wrong setting, or no architecture was found that meets the conditions.
    """
    search_space = predictor.space if space is None else get_space(space)
    if search_space.name != predictor.space.name:
        raise ValueError(f"the predictor is of {predictor.space.name}, not of {search_space.name}")
    if n < 1 or start < 1 or rounds < 0:
        raise ValueError(f"propose: n and start must be at least 1 and rounds 0, not {n}, {start} and {rounds}")
    names = list(predictor.target_names if targets is None else targets)
    which = [predictor._target(name) for name in names]
    numbers = _Numbers(predictor, search_space)
    conditions = parse_where(where, numbers.names)
    on_labels = [c for c in conditions if c[0] in predictor.target_names]
    before = [c for c in conditions if c not in on_labels]
    rng = np.random.default_rng([seed, 11])
    signs = np.array([1.0 if predictor.targets[i].higher_is_better else -1.0 for i in which])

    def scored(table: Any) -> tuple[Any, np.ndarray, np.ndarray]:
        """The table with hashes, (N, T) scores, the higher the better, and (N,) gaps to the conditions."""
        table = table.replace_columns({"hash": search_space.hash_many(table)})
        missed = gaps(before, lambda name: numbers(table, name), len(table))
        if on_labels:
            missed += gaps(on_labels, lambda name: predictor.predict(table, name)[0], len(table))
        return table, _scores(predictor, table)[:, which] * signs, missed

    labels = predictor.labels
    known = set() if labels is None else set(labels.table.columns["hash"].tolist())
    table, scores, missed = scored(_drawn(search_space, predictor.features.cells, start, seed))
    fresh = _first_rows(table.columns["hash"], known)
    table, scores, missed = table[fresh], scores[fresh], missed[fresh]
    expanded: set[str] = set()
    with progress_bar("proposing", rounds, "rounds", progress) as advance:
        for _ in range(rounds):
            parents = _parents(table.columns["hash"], scores, missed, expanded, rng)
            if not parents:
                break
            expanded |= {str(table.columns["hash"][row]) for row in parents}
            children = _joined([_steps(search_space, table, row) for row in parents])
            if len(children) > _MOST_CHILDREN:
                children = children[np.sort(rng.permutation(len(children))[:_MOST_CHILDREN])]
            hashes = search_space.hash_many(children)
            new = _first_rows(hashes, known | set(table.columns["hash"].tolist()))
            if len(new):
                more, more_scores, more_missed = scored(children[new])
                table = _joined([table, more])
                scores, missed = np.concatenate([scores, more_scores]), np.concatenate([missed, more_missed])
            kept = _order(scores, missed)[:_KEPT]
            table, scores, missed = table[kept], scores[kept], missed[kept]
            advance(1)
    if not (missed == 0).any():
        raise ValueError(f"where: no architecture of {search_space.name} was found that has {where}")
    table, scores = table[missed == 0], scores[missed == 0]
    considered = _order(scores, np.zeros(len(table)))[: max(_CONSIDERED * n, 200)]
    table = table[considered]
    found = {name: predictor.predict(table, name) for name in names}
    exact = np.column_stack([signs[i] * found[name][0] for i, name in enumerate(names)])
    best = _order(exact, np.zeros(len(table)))
    chosen = _apart(search_space, table, best, n) if diverse else best[:n]
    columns = {"hash": table.columns["hash"][chosen]}
    for name, (mean, deviation) in found.items():
        end = f":{name}" if len(names) > 1 else ""
        columns |= {f"predicted{end}": mean[chosen], f"deviation{end}": deviation[chosen]}
    columns |= {name: numbers(table[chosen], name) for name in dict.fromkeys(c[0] for c in before)}
    return table[chosen].replace_columns(columns)


def write_proposals(space: "Space", table: Any, file: "str | os.PathLike", overwrite: bool = False) -> None:
    """Write what `propose` gave, with a column architecture (text that the space reads), as Parquet or CSV by the name.

    Raises:
        FileExistsError: the file exists and `overwrite` is False.
        OSError: it cannot be written.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    texts = [space.native(item) or json.dumps(item.to_dict()) for item in table]
    rows = pa.table({"architecture": texts} | {name: pa.array(values) for name, values in table.columns.items()})
    with atomic_output(file, overwrite) as temporary:
        write = pa.csv.write_csv if str(file).endswith(".csv") else pa.parquet.write_table
        write(rows, temporary)


class _Numbers:
    """What conditions may be on."""

    def __init__(self, predictor: "Predictor", space: "Space") -> None:
        self.space, self.predictor = space, predictor
        sizes_too = ("nodes", "edges") if predictor.features.cells == 1 else ()
        self.names = (*sizes_too, *space.cost_names, *predictor.target_names)

    def __call__(self, table: Any, name: str) -> np.ndarray:
        if name in ("nodes", "edges"):
            return sizes(table, name)
        if isinstance(table, CellPairTable):
            costs = self.space.costs_of(table.normal, table.reduction)  # type: ignore[attr-defined]
            return costs[self.space.cost_names.index(name)]
        return self.space.costs(table, name)


def _scores(predictor: "Predictor", table: Any) -> np.ndarray:
    if predictor.simple:
        return predictor.by_simple(predictor.features(table))
    return predictor.standardised(table)[0].T


def _drawn(space: "Space", cells: int, count: int, seed: int) -> Any:
    count = count if space.size is None else min(count, space.size)
    parts = [space.sample(count, seed + 1_000_003 * cell).replace_columns({}) for cell in range(cells)]
    return parts[0] if cells == 1 else CellPairTable(parts[0], parts[1])


def _first_rows(hashes: np.ndarray, known: set[str]) -> np.ndarray:
    """Rows of architectures that are not known, each once."""
    _, first = np.unique(hashes, return_index=True)
    return np.array([row for row in np.sort(first) if str(hashes[row]) not in known], dtype=np.intp)


def _parents(
    hashes: np.ndarray, scores: np.ndarray, missed: np.ndarray, expanded: set[str], rng: np.random.Generator
) -> list[int]:
    """The best rows that were no parents, of several labels each under weights drawn anew."""
    free = np.array([row for row, h in enumerate(hashes.tolist()) if h not in expanded], dtype=np.intp)
    scale = np.maximum(scores.std(0), 1e-9)
    centred = (scores - scores.mean(0)) / scale
    found: dict[int, None] = {}
    single = scores.shape[1] == 1
    for _ in range(1 if single else _PARENTS):
        total = centred @ rng.dirichlet(np.ones(scores.shape[1]))
        order = free[np.lexsort((-total[free], missed[free]))]
        found.update(dict.fromkeys(order[: _PARENTS if single else 1].tolist()))
    return list(found)


def _order(scores: np.ndarray, missed: np.ndarray) -> np.ndarray:
    """Rows, the best first: those that meet the conditions, by fronts; in a front those that are far from others."""
    if scores.shape[1] == 1:
        return np.lexsort((-scores[:, 0], missed))
    front = np.full(len(scores), len(scores))
    left, rank, ranked = np.flatnonzero(missed == 0), 0, 0
    while len(left) and ranked < _KEPT:
        best = _front(scores[left])
        front[left[best]] = rank
        rank, ranked, left = rank + 1, ranked + int(best.sum()), left[~best]
    crowding = np.zeros(len(scores))
    for number in range(rank):
        rows = np.flatnonzero(front == number)
        crowding[rows] = _crowding(scores[rows])
    return np.lexsort((-crowding, front, missed))


def _front(scores: np.ndarray) -> np.ndarray:
    """(N,) bool: no other is at least as good in all and better in one."""
    left, found = np.arange(len(scores)), np.zeros(len(scores), dtype=bool)
    while len(left):
        best = left[np.argmax(scores[left].sum(1))]
        equal = (scores[left] == scores[best]).all(1)
        found[left[equal]] = True
        left = left[~equal & (scores[left] > scores[best]).any(1)]
    return found


def _crowding(scores: np.ndarray) -> np.ndarray:
    """(N,) distance between the neighbours along each label, summed; infinite at the ends (Deb et al. 2002)."""
    total = np.zeros(len(scores))
    for column in scores.T:
        order = np.argsort(column, kind="stable")
        gaps_between = np.full(len(scores), np.inf)
        if len(scores) > 2:
            gaps_between[1:-1] = (column[order][2:] - column[order][:-2]) / max(float(np.ptp(column)), 1e-12)
        total[order] += gaps_between
    return total


def _apart(space: "Space", table: Any, order: np.ndarray, n: int) -> np.ndarray:
    """The first n rows in their order none of which is a step from one before."""
    chosen: list[int] = []
    near: set[str] = set()
    for row in order.tolist():
        if str(table.columns["hash"][row]) in near:
            continue
        chosen.append(row)
        if len(chosen) == n:
            break
        near |= set(space.hash_many(_steps(space, table, row)).tolist())
    return np.array(chosen, dtype=np.intp)


def _steps(space: "Space", table: Any, row: int) -> Any:
    """The neighbours of one architecture; of a pair of cells those in which one cell is a neighbour's."""
    if isinstance(table, ArchitectureTable):
        return space.neighbours(table[row]).replace_columns({})
    pair = table[row]
    first, second = (space.neighbours(cell).replace_columns({}) for cell in (pair.normal, pair.reduction))
    ones = [np.full(len(other), row) for other in (second, first)]
    normal = ArchitectureTable.concatenate([first, table.normal[ones[0]]])
    return CellPairTable(normal, ArchitectureTable.concatenate([table.reduction[ones[1]], second]))


def _joined(tables: Sequence[Any]) -> Any:
    if isinstance(tables[0], ArchitectureTable):
        return ArchitectureTable.concatenate(tables)
    bare = CellPairTable.concatenate(tables)
    if all("hash" in table.columns for table in tables):
        return bare.with_columns(hash=np.concatenate([table.columns["hash"] for table in tables]))
    return bare
