"""Ridge regression against scikit-learn's, and damaged arrays."""

import numpy as np
import pytest

from cate_hf.surrogates.ridge import Ridge


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 12)).astype(np.float32)
    targets = np.column_stack([features[:, 0] - 2 * features[:, 1], features[:, 2]]) + 0.3 * rng.normal(size=(60, 2))
    return features, targets


def test_it_is_ridge_regression_with_the_penalty_that_leaves_one_out_best(data):
    from sklearn.linear_model import Ridge as Reference
    from sklearn.model_selection import LeaveOneOut, cross_val_predict

    features, targets = data
    fitted = Ridge.fit(features, targets)
    inputs = (features.astype(np.float64) - fitted.mean) / fitted.scale
    for target in range(2):
        wanted = targets[:, target]
        penalties = np.logspace(-1, 5, 19)
        errors = [
            np.mean((cross_val_predict(Reference(penalty), inputs, wanted, cv=LeaveOneOut()) - wanted) ** 2)
            for penalty in penalties
        ]
        reference = Reference(penalties[int(np.argmin(errors))]).fit(inputs, wanted)
        np.testing.assert_allclose(fitted.predict(features)[:, target], reference.predict(inputs), atol=1e-8)


def test_more_features_than_labels_and_constant_ones(data):
    features, targets = data
    wide = np.column_stack([features, np.ones((60, 40))])
    fitted = Ridge.fit(wide[:9], targets[:9])
    assert np.isfinite(fitted.predict(wide)).all()
    assert np.corrcoef(fitted.predict(wide)[:, 0], targets[:, 0])[0, 1] > 0.5


def test_arrays_come_back_and_damaged_ones_are_refused(data):
    features, targets = data
    fitted = Ridge.fit(features, targets)
    again = Ridge.from_arrays(fitted.arrays(), 12, 2)
    np.testing.assert_array_equal(again.predict(features), fitted.predict(features))
    for wrong in ({"scale": np.zeros(12)}, {"weights": np.zeros((11, 2))}, {"shift": np.full(2, np.nan)}):
        with pytest.raises(ValueError, match="ridge regression is damaged"):
            Ridge.from_arrays(fitted.arrays() | wrong, 12, 2)
