import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings

from cate_hf import Architecture
from cate_hf.drawing import _HEIGHT, _WIDTH, _layout, operation_colour
from tests.strategies import VOCABULARY, architectures

CELL = Architecture(
    ["input", "conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3", "output"],
    [[0, 1, 1, 0, 1], [0, 0, 0, 1, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0] * 5],
)


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_files(tmp_path, suffix, start):
    CELL.draw(tmp_path / f"cell.{suffix}")
    assert (tmp_path / f"cell.{suffix}").read_bytes().startswith(start)
    CELL.draw(str(tmp_path / f"again.{suffix.upper()}"))


def test_names_and_numbers_are_written(tmp_path):
    CELL.draw(tmp_path / "cell.svg")
    texts = {text.get_text() for text in CELL.draw().texts}
    assert {"input", "conv1x1-\nbn-relu", "conv3x3-\nbn-relu", "maxpool3x3", "output", *"01234"} <= texts


def test_unknown_suffix(tmp_path):
    with pytest.raises(ValueError, match=r"cannot draw to .*cell.xyz: expected a suffix of .*png"):
        CELL.draw(tmp_path / "cell.xyz")
    assert not list(tmp_path.iterdir())


def test_on_axes_given():
    from matplotlib.figure import Figure

    axes = Figure(figsize=(4, 3)).subplots()
    assert CELL.draw(axes) is axes
    arrows = [patch for patch in axes.patches if type(patch).__name__ == "FancyArrowPatch"]
    assert len(arrows) == CELL.num_edges


def test_notebook_picture():
    assert CELL._repr_png_().startswith(b"\x89PNG")


def test_pyplot_is_not_touched():
    code = (
        "from cate_hf import Architecture; import sys;"
        "Architecture(['input', 'output'], [[0, 1], [0, 0]]).draw(); sys.exit('matplotlib.pyplot' in sys.modules)"
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
