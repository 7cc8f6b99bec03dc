import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesRegressor

from cate_hf.surrogates.multi_target import MultiTargetGaussianProcess
from cate_hf.surrogates.trees import Trees


@settings(deadline=None, max_examples=25)
@given(st.integers(6, 80), st.integers(1, 3), st.integers(0, 2**31), st.booleans())
def test_arrays_predict_what_scikit_learn_does(n, targets, seed, rough):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 4)).astype(np.float32)
    if rough:
        features = np.round(features)  # ties, and thresholds that float32 may hold exactly
    wanted = rng.normal(size=(n, targets))
    new = np.concatenate([features, rng.normal(size=(50, 4)).astype(np.float32)])
    trees = Trees.fit(features, wanted, seed % 1000, trees=7, min_leaf=1)
    forest = ExtraTreesRegressor(7, max_features=0.4, random_state=seed % 1000)
    forest.fit(features, wanted[:, 0] if targets == 1 else wanted)
    mean, deviation = trees.predict(new)
    np.testing.assert_allclose(mean, forest.predict(new).reshape(mean.shape), atol=1e-5)
    each = np.stack([tree.predict(new).reshape(mean.shape) for tree in forest.estimators_])
    np.testing.assert_allclose(deviation, each.std(0), atol=1e-3)


def test_damaged_arrays_are_refused():
    rng = np.random.default_rng(0)
    trees = Trees.fit(rng.normal(size=(20, 3)).astype(np.float32), rng.normal(size=(20, 1)), 0, trees=3)
    arrays = trees.arrays()
    again = Trees.from_arrays(arrays, 3)
    assert np.array_equal(again.predict(np.zeros((2, 3)))[0], trees.predict(np.zeros((2, 3)))[0])
    inner = int(np.flatnonzero(arrays["feature"] >= 0)[0])
    for name, index, value in (
        ("link", inner, inner),  # a loop
        ("link", inner, 10**6),
        ("link", -1, -1),
        ("feature", inner, 3),
        ("roots", 0, -1),
    ):
        broken = {key: array.copy() for key, array in arrays.items()}
        broken[name][index] = value
        with pytest.raises(ValueError, match="damaged"):
            Trees.from_arrays(broken, 3)
    with pytest.raises(ValueError, match="lack 'roots'"):
        Trees.from_arrays({k: v for k, v in arrays.items() if k != "roots"}, 3)


def test_a_process_comes_back_and_follows_its_labels():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 3)).astype(np.float32)
    wanted = np.column_stack([np.sin(features[:, 0]), features[:, 1]])
    process = MultiTargetGaussianProcess.fit(features, wanted)
    new = rng.normal(size=(40, 3)).astype(np.float32)
    again = MultiTargetGaussianProcess.from_arrays(process.arrays(), 3, 2)
    np.testing.assert_allclose(again.predict(new), process.predict(new), atol=1e-9)
    assert np.abs(process.predict(new)[:, 1] - new[:, 1]).mean() < 0.3
    with pytest.raises(ValueError, match="damaged"):
        MultiTargetGaussianProcess.from_arrays(process.arrays() | {"weights": np.zeros((2, 2))}, 3, 2)
