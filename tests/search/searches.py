"""Candidates, values and quick settings that the tests of searches share."""

import numpy as np

from cate_hf import get_space
from cate_hf.encodings import get_encoding
from cate_hf.search import get_algorithm

SPACE = get_space("nasbench101")
CANDIDATES = SPACE.sample(300, seed=0)
ENCODINGS = get_encoding("adjacency", SPACE).transform(CANDIDATES)

QUICK = {
    "bananas": {"initial": 6, "proposed": 4, "members": 2, "epochs": 8},
    "bo-dngo": {"initial": 6, "proposed": 3},
    "bo-gp": {"initial": 6, "proposed": 3},
    "cate-dngo-ls": {"initial": 6, "proposed": 2, "local": 2},
    "cate-predictor": {"initial": 6, "proposed": 3, "liked": 20, "refresh": 8},
    "local-search": {"initial": 4},
    "mlp-predictor": {"initial": 6, "proposed": 3, "epochs": 8},
    "neural-predictor": {"initial": 10, "epochs": 8},
    "random": {},
    "regularized-evolution": {"population": 6, "tournament": 3},
}
VARIANTS = [
    *QUICK.items(),
    *((name, QUICK[name] | {"perturb": "encoding"}) for name in ("bananas", "local-search", "regularized-evolution")),
    ("bananas", QUICK["bananas"] | {"scored": "all", "acquisition": "expected-improvement"}),
    ("local-search", QUICK["local-search"] | {"whole_neighbourhood": True}),
    ("local-search", QUICK["local-search"] | {"perturb": "open", "whole_neighbourhood": True}),
    ("regularized-evolution", QUICK["regularized-evolution"] | {"perturb": "open", "nearest": 9}),
]
NAMES = [f"{name}-{len(settings)}" for name, settings in VARIANTS]


def synthetic(candidates=CANDIDATES) -> np.ndarray:
    """Accuracies that depend on the cell: more 3×3 convolutions, higher."""
    code = SPACE.vocabulary.index("conv3x3-bn-relu")
    return 0.8 + 0.03 * (candidates.operation_codes == code).sum(1) + 0.001 * candidates.num_nodes


def value(search, row: int) -> float:
    """The synthetic accuracy of a candidate, also of one that came to be one meanwhile."""
    return float(synthetic(search.candidates[np.array([row])])[0])


def optimizer(name, settings=None, seed=0, count=None, **arguments):
    """A search of the first `count` candidates, with quick settings."""
    settings = QUICK[name] if settings is None else settings
    return get_algorithm(name)(SPACE, CANDIDATES[:count], seed, ENCODINGS[:count], **settings, **arguments)


def go_on(search, count, values=None, batch=1):
    """Ask and tell until `count` were told; every seventh row fails."""
    while len(search.rows) < count:
        for row in search.ask_rows(batch):
            known = value(search, row) if values is None else values[row]
            search.tell_row(row, known if row % 7 else np.nan)
    return search
