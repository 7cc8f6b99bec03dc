"""Columns that are known beside the labels: other devices' latencies, accuracies on other data, cheap measurements."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.graphs.forms import held_columns
from cate_hf.predictor._labels import TEXT, Labels, with_texts
from cate_hf.predictor.targets import Target
from cate_hf.surrogates.measures import measures
from cate_hf.surrogates.multi_target import MultiTargetGaussianProcess
from cate_hf.surrogates.ridge import Ridge
from cate_hf.surrogates.shares import Shares, SharesAndRidge

if TYPE_CHECKING:
    from cate_hf.spaces import Space

_SAMPLE = 2000  # architectures by which what is unknown is estimated
_LEAST = 200  # for a column that is known of others than most
_FOLDS = 5
_LEAST_TASKS, _TASKS, _TESTED, _FEW = 3, 8, 400, 100  # of the columns as labels of each other
_NOT_AUXILIARY = ("hash", "index", "code", "isomorphism_class")


@dataclass(frozen=True)
class Auxiliary:
    """A columns of M architectures, standardised, and an estimate of each for any other architecture.

    Attributes:
        targets: A, how each column is standardised.
        keys: (M,) ascending int64 of architectures, by their text and by their hash; values: (M, A) float32, NaN where
            unknown. Isomorphic architectures of different texts have values of their own, and by their hash the mean.
        estimates: of columns by their numbers, from a predictor's plain features.
        elsewhere: (A,) bool: whether a column is known of more than the labelled. Where not, it is estimated for all,
            and for the labelled without themselves: what is seen is then what is seen later.
        head_starts: Kendall τ by which a weighted mean of them, one with a ridge regression on the plain features, and
            a Gaussian process on both are ahead of one on the plain features alone when one of these columns is
            predicted from as many labels by the others; None where they are too few to say.
    """

    targets: tuple[Target, ...]
    keys: np.ndarray
    values: np.ndarray
    estimates: tuple[tuple[np.ndarray, Ridge], ...]
    elsewhere: np.ndarray
    head_starts: tuple[float, ...] | None = None

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        return [target.name for target in self.targets]

    def __call__(self, space: "Space", table: Any, plain: np.ndarray, labelled: bool = False) -> np.ndarray:
        """(N, A) values of architectures, estimated from their plain features (N, F) where unknown.

        Args:
            labelled: whether these are the labelled architectures.
        """
        known = self.known(space, table)
        result = np.where(np.isnan(known) | ~self.elsewhere, _estimated(self.estimates, plain), known)
        if labelled and not self.elsewhere.all():
            folds = np.arange(len(plain)) % _FOLDS
            for fold in range(min(_FOLDS, len(plain))):
                there = folds == fold
                others = _estimates(plain[~there], known[~there][:, ~self.elsewhere])
                result[np.ix_(there, ~self.elsewhere)] = _estimated(others, plain[there])
        return result.astype(np.float32)

    def known(self, space: "Space", table: Any) -> np.ndarray:
        """(N, A) values, NaN where unknown: by the text of each architecture where it has one, else by its hash."""
        return _look_up(space, table, self.keys, self.values)

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_arrays` takes besides `about`."""
        found = {"keys": self.keys, "values": self.values, "elsewhere": self.elsewhere.astype(np.uint8)}
        for i, (columns, ridge) in enumerate(self.estimates):
            found |= {f"{i}.columns": columns} | {f"{i}.{name}": value for name, value in ridge.arrays().items()}
        return found

    def about(self) -> list[dict[str, Any]]:
        """The columns as JSON can hold them."""
        return [asdict(target) for target in self.targets]

    @classmethod
    def from_arrays(
        cls, about: list[dict[str, Any]], arrays: Mapping[str, np.ndarray], dim: int, source: str
    ) -> "Auxiliary":
        """The inverse of `about` and `arrays`, with plain features of that many columns.

        Raises:
            ValueError: arrays that do not fit together.
        """
        count = len(about)
        keys, values = np.asarray(arrays.get("keys", 0)), np.asarray(arrays.get("values", 0))
        elsewhere = np.asarray(arrays.get("elsewhere", 0))
        fits = keys.dtype == np.int64 and keys.ndim == 1 and len(keys) and values.shape == (len(keys), count)
        if not fits or elsewhere.shape != (count,) or (np.diff(keys) <= 0).any() or np.isinf(values).any():
            raise ValueError(f"{source}: its auxiliary columns are damaged")
        estimates: list[tuple[np.ndarray, Ridge]] = []
        seen = np.zeros(count, dtype=int)
        while f"{len(estimates)}.columns" in arrays and len(estimates) < count:
            prefix = f"{len(estimates)}."
            columns = np.asarray(arrays[prefix + "columns"])
            if columns.dtype != np.int64 or columns.ndim != 1 or ((columns < 0) | (columns >= count)).any():
                raise ValueError(f"{source}: its auxiliary columns are damaged")
            own = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
            estimates.append((columns, Ridge.from_arrays(own, dim, len(columns), source)))
            seen[columns] += 1
        if (seen != 1).any():
            raise ValueError(f"{source}: its auxiliary columns are damaged")
        return cls(tuple(Target(**fields) for fields in about), keys, values, tuple(estimates), elsewhere.astype(bool))


def read_auxiliary(space: "Space", given: Any, labels: Labels, features: Any, seed: int = 0) -> Auxiliary:
    """Return auxiliary columns for a predictor.

    Args:
        given: a file or table of architectures with numeric columns, NaN where unknown; or name -> (n,) numbers of the
            architectures that were labelled, in their order. A column named as a label is left out.
        features: `cate_hf.predictor._features.Features` without auxiliary columns.

    Raises:
        ValueError: no architectures of the space, or no column of numbers of which at least 2 differ.
    """
    table, targets, standard, aligned = standard_columns(space, given, labels)
    hashes = table.columns["hash"]
    new = ~np.isin(hashes, labels.table.columns["hash"])
    counts = [(~np.isnan(standard[rows])).sum(0) for rows in (new, ~new)]
    elsewhere = (counts[0] >= np.maximum(counts[1], 1)) & (not aligned)
    texts = table.columns.get(TEXT)
    keys, stored = _keyed(hashes, texts, standard)
    rng = np.random.default_rng([seed, 4])
    bare = Auxiliary(tuple(targets), keys, stored, (), elsewhere)
    estimates, starts = [], None
    if elsewhere.any():
        wanted = np.where(new[:, None], standard, np.nan)[:, elsewhere]
        rows = _sampled(wanted, rng)
        plain = features(table[rows])[:, : features.plain_dim]
        numbers = np.flatnonzero(elsewhere)
        estimates += [(numbers[columns], ridge) for columns, ridge in _estimates(plain, wanted[rows])]
        starts = _head_starts(plain, wanted[rows], len(labels), rng)
    if not elsewhere.all():
        plain = features(labels.table)[:, : features.plain_dim]
        numbers = np.flatnonzero(~elsewhere)
        own = _estimates(plain, bare.known(space, labels.table)[:, ~elsewhere])
        estimates += [(numbers[columns], ridge) for columns, ridge in own]
    return replace(bare, estimates=tuple(estimates), head_starts=starts)


def standard_columns(space: "Space", given: Any, labels: Labels | None) -> tuple[Any, list[Target], np.ndarray, bool]:
    """The architectures of auxiliary columns, how each is standardised, (M, A) values, and whether the architectures
    are the labelled ones; see `read_auxiliary`.
    """
    table, columns, aligned = _read(space, given, labels)
    targets, values = [], []
    for name, numbers in columns.items():
        known = np.isfinite(numbers)
        own = labels is not None and name in labels.columns
        if own or known.sum() < 2 or np.ptp(numbers[known]) == 0:
            continue
        target = Target.of(name, numbers[known])
        column = np.full(len(numbers), np.nan)
        column[known] = target.forward(numbers[known])
        targets.append(target)
        values.append(column)
    if not targets:
        raise ValueError("auxiliary: no column of numbers besides the labels, of which at least 2 are known and differ")
    return table, targets, np.column_stack(values), aligned


def known_values(space: "Space", others: Any, standard: np.ndarray, table: Any) -> np.ndarray:
    """(N, A) of the architectures of a table, from what `standard_columns` gave; NaN where unknown."""
    keys, values = _keyed(others.columns["hash"], others.columns.get(TEXT), standard)
    return _look_up(space, table, keys, values)


def _look_up(space: "Space", table: Any, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    def rows_of(texts: Any) -> np.ndarray:
        wanted = _digests(texts)
        rows = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where((keys[rows] == wanted)[:, None], values[rows], np.nan)

    found = rows_of(table.columns["hash"] if "hash" in table.columns else space.hash_many(table))
    if TEXT in table.columns:
        exact = rows_of(table.columns[TEXT])
        found = np.where(np.isnan(exact), found, exact)
    return found


def _sampled(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows by which columns (M, A) are estimated: some of those of which each is known."""
    patterns = np.unique(~np.isnan(values), axis=1)
    most = max(_SAMPLE // patterns.shape[1], _LEAST)
    chosen = [rng.permutation(np.flatnonzero(known))[:most] for known in patterns.T]
    return np.unique(np.concatenate(chosen))


def _read(space: "Space", given: Any, labels: Labels | None) -> tuple[Any, dict[str, np.ndarray], bool]:
    """The architectures with hash and text, their columns of numbers, and whether they are the labelled ones."""
    from cate_hf.spaces.rows import ARCHITECTURE_COLUMNS, read_table

    if isinstance(given, str | os.PathLike):
        table, _ = read_table(given, space)
        given, columns = table, table.columns
    elif (held := held_columns(given)) is not None:
        columns = {name: held[name].to_numpy(zero_copy_only=False) for name in held.column_names}
    elif isinstance(given, Mapping) and labels is not None:
        columns = {str(name): np.asarray(v) for name, v in given.items()}
        for name, numbers in columns.items():
            if numbers.shape != labels.group.shape:
                wanted = f"{len(labels.group)} numbers, one for each labelled architecture"
                raise ValueError(f"auxiliary column {name!r}: expected {wanted}, got {numbers.shape}")
        return labels.table, {n: _merged(v, labels) for n, v in _numeric(columns).items()}, True
    else:
        columns = dict(getattr(given, "columns", {}))
    table = with_texts(space, given, "auxiliary")
    if "hash" not in table.columns:
        table = table.with_columns(hash=space.hash_many(table))
    kept = {name: v for name, v in columns.items() if name not in (*ARCHITECTURE_COLUMNS, *_NOT_AUXILIARY, TEXT)}
    return table, _numeric(kept), False


def _merged(numbers: np.ndarray, labels: Labels) -> np.ndarray:
    """(n,) mean of each labelled architecture's numbers, without those that are NaN."""
    known = np.isfinite(numbers)
    sums = np.bincount(labels.group[known], weights=numbers[known], minlength=len(labels))
    counts = np.bincount(labels.group[known], minlength=len(labels))
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _numeric(columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
    found = {}
    for name, values in columns.items():
        try:
            numbers = np.asarray(values).astype(np.float64)
        except (TypeError, ValueError):
            continue
        if numbers.ndim == 1:
            found[str(name)] = numbers
    return found


def _estimates(plain: np.ndarray, standard: np.ndarray) -> list[tuple[np.ndarray, Ridge]]:
    """Ridge regressions of columns, together those that are known of the same rows."""
    patterns, which = np.unique(~np.isnan(standard), axis=1, return_inverse=True)
    found = []
    for i, known in enumerate(patterns.T):
        columns = np.flatnonzero(which.ravel() == i)
        rows = known if known.any() else np.ones(len(known), bool)
        found.append((columns, Ridge.fit(plain[rows], np.nan_to_num(standard[np.ix_(rows, columns)]))))
    return found


def _estimated(estimates: Iterable[tuple[np.ndarray, Ridge]], plain: np.ndarray) -> np.ndarray:
    """(N, A) of plain features (N, F)."""
    parts = [(columns, ridge.predict(plain)) for columns, ridge in estimates]
    result = np.empty((len(plain), sum(len(columns) for columns, _ in parts)))
    for columns, values in parts:
        result[:, columns] = values
    return result


def _head_starts(
    plain: np.ndarray, standard: np.ndarray, labels: int, rng: np.random.Generator
) -> tuple[float, ...] | None:
    """See `Auxiliary.head_starts`; each of some columns is predicted from the others, on other architectures."""
    complete = ~np.isnan(standard).any(1)
    plain, standard = plain[complete], standard[complete]
    if standard.shape[1] < _LEAST_TASKS or labels > _FEW or len(plain) < 2 * labels + 20:
        return None
    gains = []
    for column in rng.permutation(standard.shape[1])[:_TASKS]:
        rows = rng.permutation(len(plain))[: labels + _TESTED]
        few, tested = rows[:labels], rows[labels:]
        wanted, others = standard[:, [column]], np.delete(standard, column, axis=1)
        both, first = np.column_stack([plain, others]), plain.shape[1]
        fitted: list[tuple[Any, np.ndarray]] = [
            (Ridge.fit(plain[few], wanted[few]), plain),
            (Shares.fit(others[few], wanted[few]), others),
            (SharesAndRidge.fit(both[few], wanted[few], first), both),
            (MultiTargetGaussianProcess.fit(both[few], wanted[few]), both),
        ]
        taus = [measures(model.predict(seen[tested])[:, 0], wanted[tested, 0])["kendall_tau"] for model, seen in fitted]
        gains.append([tau - taus[0] for tau in taus[1:]])
    return tuple(np.mean(gains, axis=0).tolist())


def _keyed(hashes: np.ndarray, texts: np.ndarray | None, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ascending keys, and the mean of each one's values."""
    keys, rows = _digests(hashes), values
    if texts is not None:
        keys, rows = np.concatenate([keys, _digests(texts)]), np.concatenate([values, values])
    unique, group = np.unique(keys, return_inverse=True)
    found = np.full((len(unique), values.shape[1]), np.nan)
    for i, column in enumerate(rows.T):
        known = ~np.isnan(column)
        counts = np.bincount(group[known], minlength=len(unique))
        sums = np.bincount(group[known], weights=column[known], minlength=len(unique))
        found[:, i] = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return unique, found.astype(np.float32)


def _digests(texts: Any) -> np.ndarray:
    """(N,) int64 of texts."""
    digests = b"".join(blake2b(str(text).encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, dtype="<i8").astype(np.int64)
