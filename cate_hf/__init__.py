"""CATE: computation-aware Transformer encodings of neural architectures, as a Hugging Face package.

`import cate_hf` makes transformers' Auto classes know CATE (see cate_hf/hub/_auto.py) and nothing else: every public
name below is imported when it is first used, so that the import itself needs neither torch nor transformers.
"""

import importlib

from cate_hf.hub._auto import register_when_imported

__version__ = "0.2.0"

# Public name -> module that defines it.
_PUBLIC = {
    "Architecture": "cate_hf.graphs.architecture",
    "ArchitectureTable": "cate_hf.graphs.table",
    "CateConfig": "cate_hf.modeling.configuration_cate",
    "CateForPreTraining": "cate_hf.modeling.modeling_cate",
    "CateForSequenceClassification": "cate_hf.modeling.modeling_cate",
    "CateModel": "cate_hf.modeling.modeling_cate",
    "Space": "cate_hf.spaces",
    "CateTokenizer": "cate_hf.tokenization.tokenization_cate",
    "EncodingTransformer": "cate_hf.predictor.estimators",
    "PredictorRegressor": "cate_hf.predictor.estimators",
    "add_operations": "cate_hf.hub.grow",
    "checkpoint_path": "cate_hf.hub.load",
    "fit_predictor": "cate_hf.predictor",
    "get_encoding": "cate_hf.encodings.registry",
    "get_space": "cate_hf.spaces",
    "load_architectures": "cate_hf.data",
    "load_benchmark": "cate_hf.benchmarks",
    "load_encoder": "cate_hf.encodings.cate",
    "load_pairs": "cate_hf.data",
    "load_predictor": "cate_hf.predictor",
    "propose": "cate_hf.search.propose",
    "register_encoding": "cate_hf.encodings.registry",
    "register_space": "cate_hf.spaces",
    "suggest_measurements": "cate_hf.predictor",
}

__all__ = sorted([*_PUBLIC, "__version__"])


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'cate_hf' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})


register_when_imported()
