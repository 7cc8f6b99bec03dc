"""The pictures of Home and of Concepts: `python docs/figures/draw.py`, about 20 seconds."""

from pathlib import Path

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from cate_hf import Architecture, get_space, load_benchmark, load_encoder
from cate_hf.experiments.maps import principal_map
from cate_hf.graphs import draw

FOLDER = Path(__file__).parent
CELL = Architecture(
    ["input", "conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3", "output"],
    [[0, 1, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]],
)
SHORT = ["input", "1×1", "3×3", "pool", "output"]
BLUE, ORANGE, GREEN, GREY = "#4c72b0", "#dd8452", "#55a868", "#dddddd"
SETTINGS = {"metadata": {"Date": None}}  # the same file each time


def matrix(axes, values: np.ndarray, title: str, colour: str) -> None:
    axes.imshow(values, cmap=ListedColormap(["white", colour]), vmin=0, vmax=1)
    axes.set_xticks(range(len(SHORT)), SHORT, rotation=45, ha="right")
    axes.set_yticks(range(len(SHORT)), SHORT)
    axes.set_xticks(np.arange(len(SHORT) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(SHORT) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=GREY, linewidth=1)
    axes.tick_params(which="both", length=0)
    axes.set_title(title, fontsize=10)


def reachability() -> None:
    """A cell, its edges, and what each of its nodes reaches."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.9, 1, 1])
    draw(CELL, left)
    left.set_title("the cell", fontsize=10)
    matrix(middle, CELL.adjacency, "edges: row → column", BLUE)
    matrix(right, CELL.closure("descendants"), "what each row reaches", ORANGE)
    figure.savefig(FOLDER / "reachability.svg", **SETTINGS)


def pairs() -> None:
    """Cells of NAS-Bench-101 along their parameters, and two cells of one window with masked operations."""
    space = get_space("nasbench101")
    sample = space.sample(400, seed=2)
    cost = np.sort(np.asarray(sample.columns["parameters"]) / 1e6)
    first = int(np.argmin(abs(np.asarray(sample.columns["parameters"]) / 1e6 - 8)))
    costs = np.asarray(sample.columns["parameters"])
    large = np.asarray([cell.num_nodes >= 5 for cell in sample])
    near = np.flatnonzero((abs(costs - costs[first]) < 2e6) & large)
    second = int(
        near[np.argmax([sample[int(r)].edit_distance(sample[first]) for r in near[:12]])]
    )
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=[1, 2.2])
    axes = figure.add_subplot(grid[0, :])
    axes.scatter(
        cost, np.zeros(len(cost)), s=14, color=GREY, edgecolor="#999999", linewidth=0.4
    )
    axes.axvspan(
        costs[first] / 1e6 - 2, costs[first] / 1e6 + 2, color=ORANGE, alpha=0.25, lw=0
    )
    for row, colour in ((first, BLUE), (second, GREEN)):
        axes.scatter([costs[row] / 1e6], [0], s=60, color=colour, zorder=3)
    axes.set(
        yticks=[],
        xlim=(0, 32),
        xlabel="million parameters; shaded: the window of the blue cell",
    )
    for side in ("left", "top", "right"):
        axes.spines[side].set_visible(False)
    for column, (row, colour) in enumerate(((first, BLUE), (second, GREEN))):
        axes = figure.add_subplot(grid[1, column])
        cell = sample[row]
        names = list(cell.operations)
        names[len(names) // 2] = "?"
        draw(Architecture(names, cell.adjacency), axes)
        axes.set_title(
            f"{costs[row] / 1e6:.1f} million parameters, one operation masked",
            color=colour,
            fontsize=10,
        )
    figure.savefig(FOLDER / "pairs.svg", **SETTINGS)


def parts() -> None:
    """What the numbers of each bundled encoder are."""
    names = ["nasbench101", "nasbench201", "darts", "nasbench101-paper", "universal"]
    colours = {"learned": BLUE, "computation": ORANGE, "wiring": GREEN}
    figure = Figure(figsize=(8, 2.6), layout="constrained")
    axes = figure.add_subplot()
    for row, name in enumerate(names):
        for part, where in load_encoder(name).parts.items():
            axes.barh(
                row,
                where.stop - where.start,
                left=where.start,
                color=colours[part],
                edgecolor="white",
            )
            axes.text(
                (where.start + where.stop) / 2,
                row,
                str(where.stop - where.start),
                ha="center",
                va="center",
                color="w",
            )
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("numbers of an encoding")
    axes.legend(
        [axes.barh(0, 0, color=c) for c in colours.values()],
        colours,
        frameon=False,
        ncols=3,
        loc="lower left",
        bbox_to_anchor=(0, 1),
    )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(FOLDER / "parts.svg", **SETTINGS)


def space_map() -> None:
    """All cells of NAS-Bench-201 by their encodings; the encoder saw no accuracy."""
    space, benchmark, encoder = (
        get_space("nasbench201"),
        load_benchmark("nasbench201"),
        load_encoder("nasbench201"),
    )
    cells = space.enumerate()
    accuracy = 100 * benchmark.query_many(cells, "validation_accuracy")
    points, share = principal_map(encoder.encode(cells).astype(np.float64))
    low = np.quantile(accuracy, 0.15)
    order = np.random.default_rng(0).permutation(
        len(points)
    )  # so that no colour lies on top
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.add_subplot()
    dots = axes.scatter(
        *points[order].T, c=accuracy[order], s=3, linewidths=0, cmap="viridis", vmin=low
    )
    figure.colorbar(dots, label="validation accuracy, %", extend="min")
    axes.set_title(
        f"All {len(cells):,} cells of NAS-Bench-201 by their encodings\n"
        f"two principal components, {100 * share:.0f} % of the variance; the encoder saw no accuracy",
        fontsize=10,
    )
    axes.set(xticks=[], yticks=[])
    figure.savefig(FOLDER / "nasbench201-map.png", dpi=130)


if __name__ == "__main__":
    import matplotlib

    matplotlib.rcParams["svg.hashsalt"] = "cate_hf"
    for make in (reachability, pairs, parts, space_map):
        make()
