import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cate_hf.predictor.targets import Target, as_columns

FRACTIONS = hnp.arrays(np.float64, st.integers(6, 40), elements=st.floats(0.02, 0.98))


@settings(deadline=None)
@given(FRACTIONS)
def test_labels_come_back(values):
    for transform in ("log-error", "log", "identity"):
        target = Target.of("accuracy", values, transform)
        np.testing.assert_allclose(target.inverse(target.standardised(values)), values, rtol=1e-6, atol=1e-9)


@settings(deadline=None)
@given(FRACTIONS)
def test_per_cent_is_the_same_target_in_another_unit(values):
    fractions, per_cent = Target.of("accuracy", values), Target.of("accuracy", np.maximum(100 * values, 1.001))
    assert (fractions.unit, per_cent.unit) == (1.0, 100.0)
    kept = 100 * values > 1.001
    np.testing.assert_allclose(
        fractions.standardised(values[kept]) * fractions.scale + fractions.centre,
        per_cent.standardised(100 * values[kept]) * per_cent.scale + per_cent.centre,
        rtol=1e-9,
    )


def test_the_order_stays_and_the_worse_tail_is_cut():
    values = np.concatenate([np.linspace(0.85, 0.94, 50), [0.1, 0.3]])
    target = Target.of("accuracy", values)
    forward = target.forward(values)
    assert (np.diff(forward[:50]) >= 0).all()
    assert forward[-2] == forward[-1] == -2
    assert target.standardised(values)[-2] < -4
    assert forward.max() > 1.2
    latency = Target.of("latency", np.exp(np.concatenate([np.linspace(0, 1, 50), [9.0]])))
    assert not latency.higher_is_better
    assert latency.forward(np.exp(np.array([9.0])))[0] == 2


def test_transforms_follow_names():
    values = np.linspace(0.5, 0.9, 9)
    assert Target.of("cifar100_test_accuracy", values).transform == "log-error"
    assert Target.of("edge_gpu_latency", values).transform == "log"
    assert Target.of("score", values).transform == "identity"
    with pytest.raises(ValueError, match="did you mean 'log-error'"):
        Target.of("accuracy", values, "log-eror")
    with pytest.raises(ValueError, match="logarithm needs values above 0"):
        Target.of("x", values - 0.7, "log")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.9, np.nan, 0.8], "row 1: NaN; expected a number"),
        ([0.9, 0.8, np.inf], "row 2: infinite"),
        ([0.9, 91.0, 0.8], r"row 0 \(0.9\) is a fraction and row 1 \(91\) in per cent"),
        ([0.9, -0.1, 0.8], "row 1: an accuracy is from 0 to 1, .*not -0.1"),
        (["a", "b", "c"], "expected numbers"),
        ([0.9, 0.8], r"\(2,\) for 3 architectures"),
        ([[0.9], [0.8], [0.7]], r"\(3, 1\) for 3 architectures"),
    ],
)
def test_bad_labels_are_told(values, message):
    with pytest.raises(ValueError, match=message):
        as_columns({"accuracy": values}, 3)
