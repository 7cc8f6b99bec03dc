import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings

from cate_hf import Architecture, get_space
from cate_hf.graphs import draw
from cate_hf.graphs.drawing import _HEIGHT, _WIDTH, _layout, operation_colour
from tests.strategies import VOCABULARY, architectures

CELL = Architecture(
    ["input", "conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3", "output"],
    [[0, 1, 1, 0, 1], [0, 0, 0, 1, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0] * 5],
)


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_files(tmp_path, suffix, start):
    draw(CELL, tmp_path / f"cell.{suffix}")
    assert (tmp_path / f"cell.{suffix}").read_bytes().startswith(start)
    draw(CELL, str(tmp_path / f"again.{suffix.upper()}"))


def test_names_and_numbers_are_written(tmp_path):
    draw(CELL, tmp_path / "cell.svg")
    texts = {text.get_text() for text in draw(CELL).texts}
    assert {"input", "conv1x1-\nbn-relu", "conv3x3-\nbn-relu", "maxpool3x3", "output", *"01234"} <= texts


def test_unknown_suffix(tmp_path):
    with pytest.raises(ValueError, match=r"cannot draw to .*cell.xyz: expected a suffix of .*png"):
        draw(CELL, tmp_path / "cell.xyz")
    assert not list(tmp_path.iterdir())


def test_on_axes_given():
    from matplotlib.figure import Figure

    axes = Figure(figsize=(4, 3)).subplots()
    assert draw(CELL, axes) is axes
    arrows = [patch for patch in axes.patches if type(patch).__name__ == "FancyArrowPatch"]
    assert len(arrows) == CELL.num_edges


def test_files_appear_whole_or_not_at_all(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    def full(self, path, **settings):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    draw(CELL, tmp_path / "cell.png")
    before = (tmp_path / "cell.png").read_bytes()
    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(OSError, match="No space left"):
        draw(CELL, tmp_path / "cell.png")
    assert [path.name for path in tmp_path.iterdir()] == ["cell.png"]
    assert (tmp_path / "cell.png").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("LayerNormalization", "Layer\nNormalization"),
        ("Conv3x3/s2/d2/dw", "Conv3x3/\ns2/d2/dw"),
        ("sep_conv_3x3", "sep_conv_3x3"),
        ("two\nlines", "two lines"),
        ("x" * 60, "x" * 12 + "…" + "x" * 12),
        ("  ", "  "),
    ],
)
def test_labels(name, label):
    axes = draw(Architecture([name, "output"], [[0, 1], [0, 0]]))
    assert label in {text.get_text() for text in axes.texts}


@pytest.mark.parametrize("name", ["c_{k-2}", "LayerNormalization", "W" * 60, "dil_conv_5x5"])
def test_labels_fit_their_nodes(name):
    axes = draw(Architecture([name, "output"], [[0, 1], [0, 0]]))
    axes.figure.canvas.draw()
    label = max(axes.texts, key=lambda text: len(text.get_text())).get_window_extent()
    box = next(patch for patch in axes.patches if type(patch).__name__ == "FancyBboxPatch").get_window_extent()
    assert box.x0 < label.x0 < label.x1 < box.x1


def test_long_edges_are_straight():
    # A chain and an edge past it: neither the edge nor the chain goes up and down.
    adjacency = np.eye(8, k=1, dtype=int)
    adjacency[0, 7] = 1
    points, chains = _layout(Architecture(["node"] * 8, adjacency))
    (passing,) = (chain for chain in chains if len(chain) > 2)
    assert np.ptp(points[passing[1:-1], 1]) < 0.15
    assert np.ptp(points[1:7, 1]) < 0.3


def test_crowded_graphs():
    dense = Architecture(["node"] * 24, np.triu(np.ones((24, 24), dtype=int), 1))
    points, chains = _layout(dense)
    assert len(points) == 24 + sum(range(23))  # one place a node and a layer that its edges pass
    assert len(chains) == dense.num_edges
    with pytest.raises(ValueError, match="cannot draw 200 nodes and 19,900 edges: too many"):
        draw(Architecture(["node"] * 200, np.triu(np.ones((200, 200), dtype=int), 1)))


def test_large_pictures_have_fewer_pixels(tmp_path):
    from matplotlib.image import imread

    chain = Architecture(["node"] * 254, np.eye(254, k=1, dtype=int))
    draw(chain, tmp_path / "chain.png")
    assert 15_000 < imread(tmp_path / "chain.png").shape[1] <= 20_000


def test_notebook_picture():
    assert CELL._repr_png_().startswith(b"\x89PNG")


def test_pyplot_is_not_touched():
    code = (
        "from cate_hf.graphs import Architecture, draw; import sys;"
        "draw(Architecture(['input', 'output'], [[0, 1], [0, 0]])); sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_colours_of_known_vocabularies_differ():
    darts = (
        "max_pool_3x3 avg_pool_3x3 skip_connect sep_conv_3x3 sep_conv_5x5 dil_conv_3x3 dil_conv_5x5 sum none".split()
    )
    nasbench201 = "none skip_connect nor_conv_1x1 nor_conv_3x3 avg_pool_3x3".split()
    for names in (VOCABULARY[1:-1], darts, nasbench201):
        assert len({operation_colour(name) for name in names}) == len(names)


@settings(deadline=None, max_examples=60)
@given(architectures(max_nodes=9))
def test_layout(arch):
    check_layout(arch)


@pytest.mark.parametrize("space", ["darts", "nasbench201"])
def test_layout_of_cells(space):
    for cell in get_space(space).sample(30, seed=0):
        check_layout(cell)


def check_layout(arch):
    points, chains = _layout(arch)
    nodes = points[: arch.num_nodes]
    for i, j in arch.edges:  # every edge goes to the right
        assert nodes[i, 0] < nodes[j, 0]
    assert (nodes[:-1, 0] < nodes[-1, 0]).all()
    apart = np.abs(nodes[:, None] - nodes)  # no two nodes overlap
    assert ((apart[..., 0] > _WIDTH) | (apart[..., 1] > _HEIGHT) | np.eye(len(nodes), dtype=bool)).all()
    for chain in chains:  # where an edge passes a layer, it is clear of the nodes there
        for point in points[chain[1:-1]]:
            beside = nodes[nodes[:, 0] == point[0]]
            assert (np.abs(beside[:, 1] - point[1]) > _HEIGHT / 2).all()
