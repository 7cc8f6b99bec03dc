"""The verbs of the `cate` command: thin, each calls a function that is importable elsewhere."""

from collections.abc import Callable

from cate_hf.commands import (
    _comparisons,
    _encodings,
    _finetune,
    _hub,
    _importing,
    _pretraining,
    _searches,
    _show,
    _spaces,
    _statistics,
    _tables,
)

__all__ = ["VERBS"]

VERBS: dict[str, Callable[..., None]] = {
    "spaces": _spaces.spaces,
    "show": _show.show,
    "enumerate": _tables.enumerate_space,
    "import": _importing.import_file,
    "pairs": _tables.pairs,
    "pretrain-encoding": _pretraining.pretrain_encoding,
    "statistics": _statistics.statistics,
    "encode": _encodings.encode,
    "neighbours": _encodings.neighbours,
    "convert": _encodings.convert,
    "search": _searches.search,
    "compare": _comparisons.compare,
    "evaluate": _comparisons.evaluate,
    "finetune": _finetune.finetune,
    "models": _hub.models,
    "download": _hub.download,
    "export": _hub.export,
    "cache": _hub.cache,
    "card": _hub.card,
    "publish": _hub.publish,
    "publish-dataset": _hub.publish_dataset,
}
"""Name on the command line -> the function that typer makes a command of, in the order of `cate --help`."""
