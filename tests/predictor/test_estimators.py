"""Encodings and predictors as estimators of scikit-learn."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

from cate_hf import fit_predictor, get_encoding, get_space, load_benchmark, load_encoder
from cate_hf.predictor import _simple
from cate_hf.predictor.estimators import EncodingTransformer, PredictorRegressor
from cate_hf.statistics.structure import structure_names

SPACE = get_space("nasbench201")
CELLS = SPACE.sample(60, seed=4).replace_columns({})
TEXTS = [SPACE.native(cell) for cell in CELLS]
SCORES = load_benchmark("nasbench201").query_many(CELLS, "validation_accuracy")
FRAME = pd.DataFrame([cell.to_dict() for cell in CELLS]).assign(epochs=np.arange(60.0))


class Numbered:
    """scikit-learn's own checks have numbers as X: each row of them stands for some architecture here.

    What they learn of it is then nothing, so that the score on the training rows says little (`poor_score`).
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.no_validation, tags.input_tags.string, tags.input_tags.one_d_array = False, False, False
        tags.input_tags.two_d_array = True
        if tags.regressor_tags is not None:
            tags.regressor_tags.poor_score = True
        return tags

    def cells(self, numbers):
        factors = 7919 * np.arange(1, numbers.shape[1] + 1)
        pool = SPACE.enumerate()
        return pool[(np.abs(1000 * numbers).astype(np.int64) @ factors) % len(pool)].replace_columns({})


class NumberedTransformer(Numbered, EncodingTransformer):
    def fit(self, X, y=None):
        return super().fit(self.cells(validate_data(self, X, dtype=float)))

    def transform(self, X):
        check_is_fitted(self)
        return super().transform(self.cells(validate_data(self, X, reset=False, dtype=float)))


class NumberedRegressor(Numbered, PredictorRegressor):
    def fit(self, X, y):
        X, y = validate_data(self, X, y, dtype=float, y_numeric=True, ensure_min_samples=5)
        return super().fit(self.cells(X), pd.Series(y, name="loss"))

    def predict(self, X):
        check_is_fitted(self)
        return super().predict(self.cells(validate_data(self, X, reset=False, dtype=float)))


@parametrize_with_checks(
    [
        NumberedTransformer("adjacency", "nasbench201"),
        NumberedRegressor(space="nasbench201", members=0, gp=False, wiring=False),
        EncodingTransformer("nasbench201"),
        PredictorRegressor(space="nasbench201"),
    ]
)
def test_scikit_learns_own_checks(estimator, check, monkeypatch):
    monkeypatch.setattr(_simple, "_TREES", 4)
    monkeypatch.setattr(_simple, "_FOLD_TREES", 2)
    check(estimator)


FORMS = {
    "table": CELLS,
    "list": list(CELLS),
    "texts": TEXTS,
    "array of texts": np.array(TEXTS),
    "series of texts": pd.Series(TEXTS, index=np.arange(60) * 2),
    "array of objects": np.array([*CELLS, None], dtype=object)[:-1],
    "data frame": FRAME[["operations", "adjacency"]],
    "data frame of texts": pd.DataFrame({"architecture": TEXTS}),
}


@pytest.mark.parametrize("form", FORMS)
def test_pipeline(form):
    given = FORMS[form]
    pipeline = make_pipeline(EncodingTransformer("nasbench201"), Ridge(30.0))
    expected = Ridge(30.0).fit(load_encoder("nasbench201").encode(CELLS[:40]), SCORES[:40])
    pipeline.fit(given[:40], SCORES[:40])
    vectors = load_encoder("nasbench201").encode(CELLS[40:])
    np.testing.assert_allclose(pipeline.predict(given[40:]), expected.predict(vectors), atol=1e-3)


@pytest.mark.parametrize("form", ["texts", "data frame"])
def test_cross_validation(form):
    pipeline, vectors = (
        make_pipeline(EncodingTransformer("nasbench201"), Ridge()),
        load_encoder("nasbench201").encode(CELLS),
    )
    found = cross_val_score(pipeline, FORMS[form], SCORES, cv=3)
    np.testing.assert_allclose(found, cross_val_score(Ridge(), vectors, SCORES, cv=3), atol=1e-3)


def test_grid_search_over_encodings():
    pipeline = make_pipeline(EncodingTransformer(space="nasbench201"), Ridge())
    grid = {"encodingtransformer__encoding": ["cate", "parameters"]}
    search = GridSearchCV(pipeline, grid, scoring="neg_mean_absolute_error", cv=2).fit(CELLS, SCORES)
    for row, encoding in enumerate(grid["encodingtransformer__encoding"]):
        vectors = get_encoding(encoding, SPACE).transform(CELLS)
        alone = cross_val_score(Ridge(), vectors, SCORES, cv=2, scoring="neg_mean_absolute_error").mean()
        np.testing.assert_allclose(search.cv_results_["mean_test_score"][row], alone, rtol=1e-2)
    assert search.best_index_ == np.argmax(search.cv_results_["mean_test_score"])
    assert search.predict(TEXTS[:2]).shape == (2,)


def test_names_and_data_frames():
    transformer = EncodingTransformer("structure", SPACE).set_output(transform="pandas").fit(FRAME)
    frame = transformer.transform(FRAME.set_index(np.arange(60) + 7))
    assert frame.columns.tolist() == structure_names(SPACE) == transformer.get_feature_names_out().tolist()
    assert frame.index.tolist() == [*range(7, 67)]
    np.testing.assert_array_equal(frame.to_numpy(), get_encoding("structure", SPACE).transform(CELLS))
    of_list = transformer.transform(TEXTS)
    np.testing.assert_array_equal(of_list.to_numpy(), frame.to_numpy())
    learned = EncodingTransformer("nasbench201").fit(CELLS)
    names = [f"nasbench201{i}" for i in range(learned.encoding_.dim)]
    assert learned.get_feature_names_out().tolist() == names
    assert len(transformer.get_feature_names_out()) == frame.shape[1]


def test_beside_other_columns():
    columns = ["operations", "adjacency"]
    both = ColumnTransformer(
        [("cate", EncodingTransformer("nasbench201"), columns), ("rest", "passthrough", ["epochs"])]
    ).set_output(transform="pandas")
    frame = both.fit_transform(FRAME)
    assert frame["rest__epochs"].tolist() == FRAME["epochs"].tolist()
    np.testing.assert_allclose(frame.to_numpy()[:, :-1], load_encoder("nasbench201").encode(CELLS), atol=1e-5)
    model = make_pipeline(both, Ridge()).fit(FRAME, SCORES)
    assert clone(model).fit(FRAME, SCORES).score(FRAME, SCORES) == model.score(FRAME, SCORES)


def test_predictor():
    settings = {"members": 0, "wiring": False, "trees": True, "seed": 3}
    regressor = PredictorRegressor(space="nasbench201", **settings)
    assert clone(regressor).get_params() == regressor.get_params()
    regressor.fit(TEXTS[:50], SCORES[:50])
    plain = fit_predictor(CELLS[:50], SCORES[:50], space="nasbench201", **settings)
    mean, deviation = plain.predict(CELLS[50:])
    for fitted in (regressor, pickle.loads(pickle.dumps(regressor))):
        found = fitted.predict(FRAME[["operations", "adjacency"]][50:], return_std=True)
        np.testing.assert_allclose(found, (mean, deviation), rtol=1e-9)
    of_training = r2_score(SCORES[:50], plain.predict(CELLS[:50])[0])
    assert regressor.score(CELLS[:50], SCORES[:50]) == pytest.approx(of_training)


def test_predictor_of_named_and_of_several_labels():
    labels = pd.DataFrame({"validation_accuracy": SCORES, "latency": np.linspace(1, 30, 60)})
    several = PredictorRegressor(space="nasbench201", members=0, wiring=False, gp=False).fit(CELLS, labels)
    assert several.predictor_.target_names == ["validation_accuracy", "latency"]
    mean, deviation = several.predict(CELLS[:7], return_std=True)
    assert mean.shape == deviation.shape == (7, 2)
    np.testing.assert_array_equal(mean[:, 1], several.predictor_.predict(CELLS[:7], "latency")[0])
    one = PredictorRegressor(space="nasbench201", members=0, wiring=False, gp=False).fit(CELLS, labels["latency"])
    assert one.predictor_.targets[0].transform == "log"


def test_what_does_not_fit_is_told():
    with pytest.raises(ValueError, match="encoding 'structure': give the architectures' search space"):
        EncodingTransformer("structure").fit(CELLS)
    with pytest.raises(ValueError, match="row 1"):
        EncodingTransformer("nasbench201").fit([CELLS[0], get_space("nasbench101").example()])
    with pytest.raises(ValueError, match="unknown encoding 'structur'"):
        EncodingTransformer("structur", "nasbench201").fit(CELLS)
