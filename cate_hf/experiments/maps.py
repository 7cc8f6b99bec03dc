"""Maps of encodings: vectors in two dimensions, coloured by accuracy and cost."""

import importlib.util
from pathlib import Path

import numpy as np

from cate_hf.core._files import atomic_output
from cate_hf.core._names import unknown
from cate_hf.graphs.table import ArchitectureTable

__all__ = ["principal_map"]

PROJECTIONS = ("pca", "tsne", "umap")
_POINTS = 5000  # of those that keep neighbours, whose time grows faster than their number
_SEED = 0


def check_projection(name: str) -> None:
    """Raise ValueError for an unknown projection, or one whose package is not installed."""
    if name not in PROJECTIONS:
        raise unknown("map", name, PROJECTIONS)
    if name == "umap" and importlib.util.find_spec("umap") is None:
        raise ValueError("the map umap needs the package umap-learn: pip install 'cate_hf[umap]'")


def map_file(stem: str, projection: str) -> str:
    """Name of the picture of an encoding."""
    return f"map-{stem}.png" if projection == "pca" else f"map-{projection}-{stem}.png"


def principal_map(vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """Two principal components (N, 2), and their share of the variance."""
    centred = vectors - vectors.mean(axis=0)
    variances, directions = np.linalg.eigh(centred.T @ centred)
    points = centred @ directions[:, ::-1][:, :2]
    share = float(variances[-2:].sum() / max(variances.sum(), 1e-30))
    return np.pad(points, ((0, 0), (0, 2 - points.shape[1]))), share


def neighbour_map(vectors: np.ndarray, projection: str) -> np.ndarray:
    """(N, 2) by t-SNE (van der Maaten and Hinton, JMLR 2008) or UMAP (McInnes et al., 2018) of vectors (N, D),
    started from the principal components: near points are alike, distances between groups say little.
    """
    if projection == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(30.0, (len(vectors) - 1) / 3)
        return TSNE(perplexity=perplexity, init="pca", random_state=_SEED, n_jobs=-1).fit_transform(vectors)
    from umap import UMAP

    return UMAP(random_state=_SEED, n_jobs=1).fit_transform(vectors)


def draw_map(
    file: Path,
    name: str,
    vectors: np.ndarray,
    table: ArchitectureTable,
    values: np.ndarray,
    field: str,
    projection: str = "pca",
) -> None:
    """Write a picture of an encoding, coloured by a field and by the space's first cost.

    Args:
        vectors: (N, D) of the table's architectures; values: (N,) of the field.
        projection: one of `PROJECTIONS`; "tsne" and "umap" show 5,000 of the architectures, at random.
    """
    from matplotlib.figure import Figure

    rows = np.random.default_rng(_SEED).permutation(len(vectors))  # so that no colour lies on top
    vectors = vectors.astype(np.float64)
    if projection == "pca":
        points, share = principal_map(vectors)
        points, title = points[rows], f"two principal components, {100 * share:.0f} % of the variance"
    else:
        rows = rows[:_POINTS]
        points = neighbour_map(vectors[rows], projection)
        title = f"{'t-SNE' if projection == 'tsne' else 'UMAP'} of {len(rows):,} architectures"
    cost = next((column for column in ("parameters", "flops", "cost") if column in table.columns), None)
    panels = [(field.replace("_", " "), values), *([(cost, table.columns[cost])] if cost else [])]
    figure = Figure(figsize=(5.6 * len(panels), 4.6), layout="constrained")
    size = 1 if len(rows) > _POINTS else 3
    for axis, (label, colour) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        low, high = np.quantile(colour, [0.02, 0.98])
        dots = axis.scatter(*points.T, c=colour[rows], vmin=low, vmax=high, s=size, linewidths=0, cmap="viridis")
        figure.colorbar(dots, label=label)
        axis.set_xticks([])
        axis.set_yticks([])
    figure.suptitle(f"{name}: {title}", fontsize=10)
    with atomic_output(file, overwrite=True) as temporary:
        figure.savefig(temporary, dpi=130)
