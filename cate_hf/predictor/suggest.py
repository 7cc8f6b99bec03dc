"""Which architectures to measure first."""

from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.predictor._auxiliary import known_values, standard_columns
from cate_hf.predictor._features import Features
from cate_hf.predictor._labels import with_texts
from cate_hf.spaces import get_space

if TYPE_CHECKING:
    import os

    from cate_hf.encodings.cate import Encoder
    from cate_hf.spaces import Space

__all__ = ["suggest_measurements"]

_CANDIDATES = 4000
_NOISE = 0.1  # of a measurement, in variances of a linear function of the features


def suggest_measurements(
    space: "str | os.PathLike | Space",
    n: int,
    architectures: Any = None,
    auxiliary: Any = None,
    encoder: "str | os.PathLike | Encoder | None" = None,
    seed: int = 0,
) -> Any:
    """Return n architectures that say most about all others when their labels are measured, the first the most.

    One after the other the architecture is taken whose label would be least certain if labels were a linear function of
    the features: of the auxiliary columns where there are any, else of structural statistics and encoding.

    Args:
        space: of the architectures.
        n: how many.
        architectures: to choose from; those of the auxiliary columns or, without, the space's pool when None.
        auxiliary: a file or table of architectures, as `fit_predictor` takes it.
        encoder: whose encodings are features, a name, folder or `Encoder`; none when None.
        seed: of the 4,000 that are looked at where there are more.

    Returns:
        an `ArchitectureTable` (of pairs of cells a `CellPairTable`).

    Raises:
        ValueError: n is not a whole number from 1 to the number of different architectures (of 4,000 at most), or as
            `fit_predictor`.
    """
    space = get_space(space)
    standard = None
    if auxiliary is not None:
        others, _, standard, _ = standard_columns(space, auxiliary, None)
        if architectures is None:
            table, values = others, standard
        else:
            table = with_texts(space, architectures)
            values = known_values(space, others, standard, table)
        known = ~np.isnan(values).any(axis=1)
        table, values = table[known], values[known]
    else:
        table, values = with_texts(space, space.pool() if architectures is None else architectures), np.empty(0)
    _, first = np.unique(space.hash_many(table), return_index=True)
    rows = np.random.default_rng(seed).permutation(first)[:_CANDIDATES]
    if not isinstance(n, Integral) or not 1 <= n <= len(rows):
        raise ValueError(f"suggest_measurements: n must be a whole number from 1 to {len(rows):,}, not {n!r}")
    table = table[rows]
    if standard is None:
        if encoder is not None and not hasattr(encoder, "encode"):
            from cate_hf.encodings.cate import load_encoder

            encoder = load_encoder(encoder)  # type: ignore[arg-type]
        values = Features(space, encoder=encoder, cells=len(getattr(table, "parts", (table,))))(table)  # type: ignore
        spread = values.std(0)
        values = (values - values.mean(0)) / np.where(spread > 1e-6, spread, 1.0)
    else:
        values = values[rows]
    return table[_spread_out(values.astype(np.float64) - values.mean(0), n)]


def _spread_out(features: np.ndarray, n: int) -> np.ndarray:
    """Rows with the largest variance given the rows before: pivots of the Cholesky factor of features · featuresᵀ."""
    left = (features**2).sum(1)
    noise = _NOISE * features.shape[1]
    factor, rows = np.empty((len(features), n)), np.empty(n, dtype=np.intp)
    for i in range(n):
        rows[i] = int(np.argmax(left))
        seen = factor[:, :i]
        factor[:, i] = (features @ features[rows[i]] - seen @ seen[rows[i]]) / np.sqrt(left[rows[i]] + noise)
        left = np.maximum(left - factor[:, i] ** 2, 0.0)
        left[rows[: i + 1]] = -1.0
    return rows
