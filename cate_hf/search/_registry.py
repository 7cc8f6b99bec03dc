"""Search algorithms by name. Adding one is a module and a line here, or an entry point of group `cate_hf.search`."""

from typing import TYPE_CHECKING, Any

from cate_hf.core._names import Catalog

if TYPE_CHECKING:
    from cate_hf.search.base import Optimizer

CATALOG = Catalog(
    "cate_hf.search",
    "search algorithm",
    {
        "bananas": "cate_hf.search._bananas:Bananas",
        "bo-dngo": "cate_hf.search._bayesian:BayesianDngo",
        "bo-gp": "cate_hf.search._bayesian:BayesianGp",
        "cate-dngo-ls": "cate_hf.search._cate_dngo_ls:CateDngoLs",
        "cate-predictor": "cate_hf.search._cate_predictor:CatePredictor",
        "local-search": "cate_hf.search._local_search:LocalSearch",
        "mlp-predictor": "cate_hf.search._neural_predictor:MlpPredictor",
        "neural-predictor": "cate_hf.search._neural_predictor:NeuralPredictor",
        "random": "cate_hf.search._random_search:RandomSearch",
        "regularized-evolution": "cate_hf.search._regularized_evolution:RegularizedEvolution",
    },
)


def algorithm_names() -> list[str]:
    """Return the names of all search algorithms, sorted: the package's and those of installed packages."""
    return CATALOG.names()


def get_algorithm(name: str) -> "type[Optimizer]":
    """Return the class of a search algorithm.

    Raises:
        ValueError: no algorithm has this name; the message names the nearest.
    """
    return CATALOG.get(name)


def parse_algorithm(text: str) -> "tuple[type[Optimizer], dict[str, Any], bool]":
    """Read a search algorithm as the command line names it.

    Args:
        text: `NAME`; `NAME/encoding` for steps or draws in the encoding instead of the space
            (`cate_hf.search._steps`, `cate_hf.search._random_search`); or `NAME/trees` for its predictors,
            `NAME/mean` for what it thinks best in the end (`cate_hf.search._cate_predictor`).

    Returns:
        The class, its settings, and whether it uses encodings.

    Raises:
        ValueError: no such algorithm, or one without such steps or predictors.
    """
    name, slash, steps = text.partition("/")
    algorithm = get_algorithm(name)
    if not slash:
        return algorithm, {}, algorithm.needs_encodings
    for setting in ("perturb", "sample", "predictors", "leader"):
        if steps in algorithm.choices.get(setting, ()):
            return algorithm, {setting: steps}, algorithm.needs_encodings or steps == "encoding"
    raise ValueError(f"search algorithm {text!r}: {name} has no steps {steps!r} to choose")
