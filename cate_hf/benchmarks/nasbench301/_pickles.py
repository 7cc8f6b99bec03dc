"""Boosters out of pickles, without running anything that a pickle says.

The official models are pickled `xgboost.core.Booster` and `lightgbm.basic.Booster` objects. Unpickling may run any
code; here the few names that such a pickle holds stand for classes that keep what they are given and do nothing, and
any other name is refused. What is wanted of it, the model's own bytes or text, is data.
"""

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any, NamedTuple

_MOST_BYTES = 1 << 30
_MOST_STEPS = 100_000  # of a pickle's machine; a booster takes a few hundred
TRUST_HINT = "if you trust the file, trust_pickle=True (--trust-pickle) unpickles it with its own package"


class _Inert:
    """An object of a class that is not there: it takes whatever it is made of and does nothing with it."""

    state: Any = None

    def __init__(self, *args: Any, **kwargs: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


class _XgboostBooster(_Inert):
    pass


class _LightgbmBooster(_Inert):
    pass


def _as_bytes(data: bytes = b"") -> bytes:
    if not isinstance(data, bytes):
        raise pickle.UnpicklingError("a bytearray that is not made of bytes")
    return data


_STAND_INS = {
    ("xgboost.core", "Booster"): _XgboostBooster,
    ("lightgbm.basic", "Booster"): _LightgbmBooster,
    ("builtins", "bytearray"): _as_bytes,
    # What the record of LightGBM's training consists of.
    ("collections", "OrderedDict"): _Inert,
    ("collections", "defaultdict"): _Inert,
    ("numpy", "dtype"): _Inert,
    ("numpy.core.multiarray", "scalar"): _Inert,
    ("numpy._core.multiarray", "scalar"): _Inert,
}


class _Refused(pickle.UnpicklingError):
    """What a pickle asks for beyond a booster."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        stand_in = _STAND_INS.get((module, name))
        if stand_in is None:
            raise _Refused(f"it asks for {module}.{name}"[:100] + ", which could run code")
        return stand_in


class PickledBooster(NamedTuple):
    """What a pickle holds.

    Attributes:
        package: "xgboost" or "lightgbm".
        model: the model as the package writes it.
        best_iteration: the iteration that early stopping chose, 0 where none did.
    """

    package: str
    model: bytes
    best_iteration: int


def read_booster(path: Path) -> PickledBooster:
    """The booster of a `surrogate_model.model`; nothing is executed.

    Raises:
        ValueError: not a pickle, one that holds more than a booster, or a truncated one.
    """
    data = _read(path)
    try:
        _check_steps(data)
        booster = _Unpickler(io.BytesIO(data)).load()
    except _Refused as error:
        raise ValueError(f"{path}: not read, because {_first_line(error)}; {TRUST_HINT}") from None
    except Exception as error:  # the pickle machine raises anything on damaged input
        raise ValueError(f"{path}: not a pickled booster ({_first_line(error)})") from None
    if not isinstance(booster, _XgboostBooster | _LightgbmBooster) or not isinstance(booster.state, dict):
        raise ValueError(f"{path}: a pickle, but not of an XGBoost or LightGBM booster")
    xgboost = isinstance(booster, _XgboostBooster)
    model = next((booster.state[key] for key in ("handle", "_handle") if key in booster.state), None)
    if not isinstance(model, bytes | bytearray if xgboost else str):
        raise ValueError(f"{path}: a pickled booster without a model in it")
    content = model.encode(errors="replace") if isinstance(model, str) else bytes(model)
    best = booster.state.get("best_iteration")
    best = best if type(best) is int and best > 0 else 0
    return PickledBooster("xgboost" if xgboost else "lightgbm", content, best)


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise ValueError(f"{path}: {size:,} bytes, too large for one member of an ensemble")
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None


def _check_steps(data: bytes) -> None:
    """Lengths that a pickle states are there, and it does not number its memory beyond what it holds.

    So that the pickle machine, which makes room for what is stated, does not run out of memory.
    """
    for step, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if step > _MOST_STEPS:
            raise ValueError("it has far more in it than a booster")
        if "PUT" in opcode.name and isinstance(argument, int) and argument > _MOST_STEPS:
            raise ValueError(f"it numbers its memory up to {argument}")


def unpickle_trusted(path: Path) -> Any:
    """The booster by its own package. Runs what the pickle says: only for files that the user vouches for.

    Raises:
        ValueError: it cannot be unpickled here, or is no booster.
    """
    try:
        booster = pickle.loads(_read(path))
    except ImportError as error:
        raise ValueError(f"{path}: unpickling needs {error.name}: pip install {error.name}") from None
    except Exception as error:
        raise ValueError(f"{path}: cannot be unpickled: {_first_line(error)}") from None
    kind = f"{type(booster).__module__}.{type(booster).__qualname__}"
    if kind not in ("xgboost.core.Booster", "lightgbm.basic.Booster"):
        raise ValueError(f"{path}: holds a {kind}; expected an XGBoost or LightGBM booster")
    return booster


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
