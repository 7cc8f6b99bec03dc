import numpy as np
import pytest

from cate_hf import fit_predictor, get_space
from cate_hf.predictor.explain import contributions, draw_explanation, explain
from tests.tiny import LARGE, SKIP


def test_every_neighbour_is_predicted(fitted, space):
    steps = explain(fitted, LARGE)
    differences = [step.difference for step in steps]
    assert differences == sorted(differences, reverse=True)
    start = fitted.predict(LARGE)[0][0]
    for step in steps[:3] + steps[-3:]:
        assert step.difference == pytest.approx(fitted.predict(step.architecture)[0][0] - start)
    hashes = {space.hash(step.architecture) for step in steps}
    neighbours = {str(h) for h in space.neighbours(LARGE).columns["hash"]}
    assert hashes == neighbours
    slowest_last = [step.difference for step in explain(fitted, SKIP, "latency")]
    assert slowest_last == sorted(slowest_last)


def test_changes_are_what_they_say(fitted):
    by_name = {step.what: step.architecture for step in explain(fitted, SKIP)}
    assert list(by_name["node 1: conv3x3-bn-relu → maxpool3x3"].operations) == ["input", "maxpool3x3", "output"]
    assert np.array(by_name["edge 0 → 2 taken away"].adjacency).sum() == 2
    assert "edge 0 → 2 added" not in by_name


def test_an_operation_on_an_edge_that_had_none():
    space = get_space("nasbench201")
    cells = space.sample(12, seed=0)
    predictor = fit_predictor(cells, np.linspace(0.5, 0.9, 12), space=space, members=0, gp=False, wiring=False)
    start = space.parse("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|")
    steps = explain(predictor, start)
    hashes = [space.hash(step.architecture) for step in steps]
    assert {*hashes} >= {*space.neighbours(start).columns["hash"].tolist()}
    assert any(step.what.startswith("to |") for step in steps)
    assert contributions(start, steps).keys() == {1, (0, 1), (1, 2)}


def test_contributions_are_of_what_is_there(fitted):
    steps = explain(fitted, SKIP)
    found = contributions(SKIP, steps)
    assert set(found) == {1, *((a, b) for a, b in SKIP.edges if any(step.place == (a, b) for step in steps))}
    assert found[1] == pytest.approx(-np.mean([step.difference for step in steps if step.place == 1]))
    (away,) = (step for step in steps if step.place == (0, 2))
    assert found[0, 2] == pytest.approx(-away.difference)


def test_the_picture(fitted, tmp_path):
    steps = draw_explanation(fitted, SKIP, tmp_path / "why.png")
    assert len(steps) > 2
    assert (tmp_path / "why.png").stat().st_size > 5000
    with pytest.raises(FileExistsError):
        draw_explanation(fitted, SKIP, tmp_path / "why.png")
    with pytest.raises(ValueError, match="txt"):
        draw_explanation(fitted, SKIP, tmp_path / "why.txt")
    with pytest.raises(ValueError, match="nasbench101|operation"):
        explain(fitted, get_space("nasbench201").example())
