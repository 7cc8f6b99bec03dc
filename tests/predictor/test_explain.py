import numpy as np
import pytest

from cate_hf import get_space
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
