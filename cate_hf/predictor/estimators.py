"""Encodings and predictors as estimators of scikit-learn: for `Pipeline`, `cross_val_score`, `GridSearchCV` and so on.

What scikit-learn calls X is here architectures in any form of `cate_hf.graphs.forms.to_table`: a list, an
`ArchitectureTable`, a data frame with columns operations and adjacency, the space's own texts, ...
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from cate_hf.encodings.registry import encoding_names, get_encoding
from cate_hf.predictor.fit import fit_predictor
from cate_hf.spaces import get_space

if TYPE_CHECKING:
    import os

    from cate_hf.encodings.base import Encoding
    from cate_hf.spaces import Space

__all__ = ["EncodingTransformer", "PredictorRegressor"]


class _OfArchitectures(BaseEstimator):
    """An estimator whose X is no array of numbers."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.no_validation = True
        tags.input_tags.one_d_array, tags.input_tags.two_d_array, tags.input_tags.string = True, False, True
        return tags


class EncodingTransformer(TransformerMixin, _OfArchitectures):
    """Architectures to their encodings.

    Args:
        encoding: as `get_encoding` takes it: a name, such as "cate" or "structure", or a checkpoint.
        space: of the architectures; that of the checkpoint when None.
        settings: of the encoding, by name.

    Attributes:
        encoding_: the encoding; where it learns without labels and was not trained before, `fit` has trained it.
    """

    def __init__(
        self,
        encoding: "str | os.PathLike" = "cate",
        space: "str | os.PathLike | Space | None" = None,
        settings: Mapping[str, Any] | None = None,
    ):
        self.encoding, self.space, self.settings = encoding, space, settings

    def fit(self, X: Any, y: Any = None) -> "EncodingTransformer":
        """Make the encoding; without labels.

        Raises:
            ValueError: no such encoding, or an architecture of another space; the row is named.
        """
        self.encoding_: Encoding = get_encoding(self.encoding, self._space(), **(self.settings or {}))
        self.encoding_.fit(self.encoding_.space.table(X))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """(N, D) float32, or what `set_output` says. Raises ValueError for an architecture of another space."""
        check_is_fitted(self)
        return self.encoding_.transform(self.encoding_.space.table(X))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """(D,) names: of statistics their own, of others the encoding's with a number."""
        check_is_fitted(self)
        names = getattr(self.encoding_, "feature_names", None)  # `Encoding` asks for none
        return np.array(names or [f"{self.encoding_.name}{i}" for i in range(self.encoding_.dim)], dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _space(self) -> "Space":
        if self.space is not None:
            return get_space(self.space)
        if self.encoding in encoding_names():
            raise ValueError(f"encoding {self.encoding!r}: give the architectures' search space")
        from cate_hf.encodings.cate import load_encoder

        return load_encoder(self.encoding).search_space


class PredictorRegressor(RegressorMixin, _OfArchitectures):
    """Architectures to their accuracy, or another label: `fit_predictor` as an estimator.

    The arguments are its; `transforms` is its `transform`, a name that scikit-learn takes for a method.

    Attributes:
        predictor_: the `Predictor`.
    """

    def __init__(
        self,
        encoder: Any = None,
        space: "str | os.PathLike | Space | None" = None,
        seed: int = 0,
        members: int | None = None,
        statistics: str = "structure",
        trees: bool = True,
        gp: bool = True,
        wiring: bool = True,
        transforms: str | Mapping[str, str] | None = None,
        epochs: int | None = None,
        batch: int | None = None,
        training: Mapping[str, float] | None = None,
        initialisations: int = 1,
        device: str | None = None,
        auxiliary: Any = None,
    ):
        self.encoder, self.space, self.seed, self.members, self.statistics = encoder, space, seed, members, statistics
        self.trees, self.gp, self.wiring, self.transforms = trees, gp, wiring, transforms
        self.epochs, self.batch, self.training = epochs, batch, training
        self.initialisations, self.device, self.auxiliary = initialisations, device, auxiliary

    def fit(self, X: Any, y: Any) -> "PredictorRegressor":
        """Fit to labels: (n,) accuracies, or what the name of a `Series` says; several in a data frame or dict.

        Raises:
            ValueError: as `fit_predictor`.
        """
        settings = self.get_params(deep=False)
        self.predictor_ = fit_predictor(X, _labels(y), transform=settings.pop("transforms"), **settings)
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """(N,) float64, of several labels (N, T); with `return_std` their standard deviations of the same shape too.

        Raises:
            ValueError: an architecture of another space; the row is named.
        """
        check_is_fitted(self)
        table = self.predictor_.table(X)
        found = np.array([self.predictor_.predict(table, name) for name in self.predictor_.target_names])  # (T, 2, N)
        mean, deviation = (values[0] if len(found) == 1 else values.T for values in found.transpose(1, 0, 2))
        return (mean, deviation) if return_std else mean


def _labels(y: Any) -> Any:
    """Labels as `fit_predictor` takes them."""
    if hasattr(y, "columns"):  # a data frame
        return {str(name): np.asarray(y[name]) for name in y.columns}
    name = getattr(y, "name", None)  # of a series
    return {str(name): np.asarray(y)} if name else y
