"""What may be told of config.json and the tokenizer's files before a model is made: types, sizes, and whether they
belong together.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cate_hf.core._names import printable
from cate_hf.hub._checks_files import CheckpointError, read_object, shown
from cate_hf.spaces.custom import MAX_NODES

CONFIG, VOCABULARY, TOKENIZER_CONFIG = "config.json", "vocab.json", "tokenizer_config.json"
MOST_OPERATIONS = 253  # an architecture's operations are numbers of one byte
_MOST_NAMES = 1_000  # of labels, or of statistics
_LARGEST = 65_536  # of any number in a configuration
_MOST = {
    "max_nodes": MAX_NODES,
    "vocab_size": MOST_OPERATIONS + 2,
    "num_labels": _MOST_NAMES,
    "format_version": 1 << 30,
}
_MOST_LAYERS = 256
_LONGEST_NAME = 200
_FLOAT_DTYPES = ("float32", "float64", "float16", "bfloat16")
_OTHER_KEYS = {"auto_map", "model_type", "num_labels", "torch_dtype", "_name_or_path"}  # used, and no fields
# No writer of configurations stores these; they would have transformers load other files, or run other code.
_LEADING_ELSEWHERE = (
    *("configuration_files", "custom_pipelines", "gguf_file", "transformers_weights", "per_layer_config"),
    *("attn_implementation", "_attn_implementation", "_attn_implementation_internal"),
    *("experts_implementation", "_experts_implementation", "_experts_implementation_internal"),
)
_TOKENIZER_KEYS = {
    *("added_tokens_decoder", "alias_special_ids", "auto_map", "backend", "clean_up_tokenization_spaces"),
    *("extra_special_tokens", "additional_special_tokens", "is_local", "local_files_only", "mask_token"),
    *("model_input_names", "model_max_length", "name_or_path", "pad_to", "pad_token", "padding_side"),
    *("processor_class", "special_tokens_map_file", "tokenizer_class", "transformers_version", "truncation_side"),
}
# Other fields of a tokenizer are those of other programs, unless they name files, code, or tokens without a row.
_NO_TOKENIZER_KEYS = re.compile(r"operations|init_inputs|.*(_file|_files|_token|_tokens|_template|_class)")
_TO_ADD = "cate_hf.add_operations adds operations to a checkpoint"
_TOKEN_FLAGS = {"lstrip", "normalized", "rstrip", "single_word", "special"}
_UNUSED_TOKENIZER_FILES = ("tokenizer.json", "chat_template.jinja", "chat_template.json", "additional_chat_templates")


def check_config(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The content of config.json, once it is known that a `CateConfig` can be made of it and of what size.

    Returns:
        what CATE uses of it, and the names of fields that neither CATE nor transformers knows. Fields of other
        programs, such as `use_cache` or `quantization_config`, are left out: they have no effect here.

    Raises:
        CheckpointError: not the configuration of CATE, one of a newer format, or a field that is misspelled, of another
            type, too large, not in keeping with the others, or there to have other files loaded.
    """
    from cate_hf.modeling.configuration_cate import CateConfig

    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{folder}: no {CONFIG}, so this is not a checkpoint folder")
    config = read_object(path)
    if config.get("model_type") != CateConfig.model_type:
        raise CheckpointError(f"{path}: model_type is {shown(config.get('model_type'))}, expected 'cate'")
    fields = CateConfig.__dataclass_fields__
    check_format(config, path)
    for name in config:
        if name in _LEADING_ELSEWHERE:
            raise CheckpointError(f"{path}: field {shown(name)} is not one of CATE's configuration, and is refused")
    used = {name: value for name, value in config.items() if name in fields or name in _OTHER_KEYS}
    try:
        foreign = CateConfig.foreign_fields(name for name in config if name not in used)
    except ValueError as error:
        raise CheckpointError(f"{path}: {one_line(error)}") from None
    for name, value in used.items():
        _check_field(path, name, value)
    _check_names(path, used)
    return used, foreign


def check_format(config: Mapping[str, Any], path: str | Path) -> None:
    """Raise CheckpointError for a configuration, read from `path`, in a format that this version does not know."""
    from cate_hf.modeling.configuration_cate import FORMAT_VERSION as newest

    version = config.get("format_version", 1)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise CheckpointError(f"{path}: format_version is {shown(version)}, expected a number from 1 to {newest}")
    if version > newest:
        raise CheckpointError(
            f"{path}: made by a newer version of cate_hf: format_version is {version}, this one reads up to {newest}; "
            "upgrade cate_hf"
        )


def _check_field(path: Path, name: str, value: Any) -> None:
    if isinstance(value, bool):
        return
    if isinstance(value, int | float):
        most = _MOST_LAYERS if "layers" in name else _MOST.get(name, _LARGEST)
        least = int(name.endswith(("_size", "_heads")))
        if not least <= value <= most:
            raise CheckpointError(
                f"{path}: field {name!r} is {shown(value)}, expected a number from {least} to {most:,}"
            )
    if name in ("dtype", "torch_dtype") and value not in (None, *_FLOAT_DTYPES):
        raise CheckpointError(f"{path}: field {name!r} is {shown(value)}, expected one of {', '.join(_FLOAT_DTYPES)}")
    if name in ("id2label", "label2id") and value is not None:
        if not isinstance(value, dict) or len(value) > _MOST_NAMES:
            raise CheckpointError(f"{path}: field {name!r} must map at most {_MOST_NAMES:,} labels")
    if name == "auto_map":
        check_auto_map(path, value)
    if not isinstance(value, list) or name == "operations":
        return
    if len(value) > _MOST_NAMES or not all(map(is_name, value)):
        raise CheckpointError(f"{path}: field {name!r} is {shown(value)}, not a list of at most {_MOST_NAMES:,} names")


def check_auto_map(path: Path, auto_map: Any) -> None:
    """Check which code a file names for those who trust it: classes in files beside it, not of another repository.

    Raises:
        CheckpointError: it names anything else.
    """
    if not isinstance(auto_map, dict):
        raise CheckpointError(f"{path}: auto_map must be an object, not {shown(auto_map)}")
    for name, value in auto_map.items():
        for word in value if isinstance(value, list) else [value]:
            if word is not None and not (isinstance(word, str) and re.fullmatch(r"\w+\.\w+", word)):
                raise CheckpointError(
                    f"{path}: auto_map: {shown(name)} is {shown(word)}, not a class in a file of this folder"
                )


def _check_names(path: Path, config: dict[str, Any]) -> None:
    from transformers.activations import ACT2FN

    operations = config.get("operations")
    if not isinstance(operations, list) or not 2 <= len(operations) <= MOST_OPERATIONS:
        raise CheckpointError(f"{path}: operations must be a list of 2 to {MOST_OPERATIONS} names")
    check_operation_names(str(path), operations)
    if not is_name(config.get("space", "")) or not config.get("space", "x"):
        raise CheckpointError(f"{path}: space must be a name, not {shown(config['space'])}")
    activation = config.get("hidden_act", "relu")
    if not isinstance(activation, str) or activation not in ACT2FN:
        raise CheckpointError(f"{path}: hidden_act {shown(activation)} is no activation of transformers")


def is_name(text: Any) -> bool:
    """Whether a text may stand in a table or a message: printable, on one line, not long."""
    return isinstance(text, str) and text.isprintable() and len(text) <= _LONGEST_NAME


def check_operation_names(source: str, names: Iterable[Any]) -> None:
    """Raises CheckpointError for a name that is empty, long, of several words or not printable, or there twice."""
    seen = set()
    for name in names:
        if not is_name(name) or name.split() != [name]:
            raise CheckpointError(f"{source}: operation {shown(name)} is not a name without spaces")
        if name in seen:
            raise CheckpointError(f"{source}: operation {shown(name)} is there twice")
        seen.add(name)


def make_config(folder: Path, config: dict[str, Any]):
    """A `CateConfig` of a checked config.json. Raises CheckpointError where its own checks refuse it."""
    from cate_hf.modeling.configuration_cate import CateConfig

    try:
        return CateConfig.from_dict(dict(config))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, ArithmeticError) as error:
        raise CheckpointError(f"{folder / CONFIG}: {one_line(error)}") from None


def one_line(error: BaseException) -> str:
    """What an error says, on one line."""
    return printable(error)[:300] or type(error).__name__


def check_tokenizer(folder: Path, config) -> tuple[dict[str, Any], list[str]]:
    """Compare the tokenizer's files with a folder's `CateConfig`.

    A folder without any, as a trainer writes it that knows of no tokenizer, has the one that the configuration makes.

    Returns:
        what CATE uses of its settings, and the names of fields that are other programs'.

    Raises:
        CheckpointError: a file is missing or not what it should be, or its operations are not those of the model.
    """
    path = folder / TOKENIZER_CONFIG
    if not path.exists() and not (folder / VOCABULARY).exists():
        return {}, []
    if not path.is_file():
        raise CheckpointError(f"{folder}: no {TOKENIZER_CONFIG}, so architectures cannot be tokenised")
    settings = read_object(path)
    check_auto_map(path, settings.get("auto_map", {}))
    foreign = [name for name in settings if name not in _TOKENIZER_KEYS]
    for name in foreign:
        if _NO_TOKENIZER_KEYS.fullmatch(name) or difflib.get_close_matches(name, _TOKENIZER_KEYS, 1, 0.9):
            raise CheckpointError(f"{path}: field {shown(name)} is not one of CATE's tokenizer")
    if settings.get("tokenizer_class", "CateTokenizer") != "CateTokenizer":
        raise CheckpointError(f"{path}: tokenizer_class is {shown(settings['tokenizer_class'])}, not 'CateTokenizer'")
    for name in _UNUSED_TOKENIZER_FILES:
        if (folder / name).exists():
            raise CheckpointError(f"{folder}: {name} is no file of CATE's tokenizer, and is refused")
    aliased = settings.get("alias_special_ids", False)
    if aliased is not (config.num_special_ids == 0):
        raise CheckpointError(f"{path}: alias_special_ids is {shown(aliased)}, which does not fit vocab_size")
    pad_to, longest = settings.get("pad_to"), settings.get("model_max_length")
    if pad_to is not None and not (_is_whole(pad_to) and 2 <= pad_to <= config.max_nodes):
        raise CheckpointError(
            f"{path}: pad_to is {shown(pad_to)}, expected null or 2 to {config.max_nodes} (max_nodes)"
        )
    if longest is not None and not (_is_whole(longest) and longest >= config.max_nodes):
        raise CheckpointError(f"{path}: model_max_length is {shown(longest)}, less than max_nodes ({config.max_nodes})")
    vocabulary = _check_vocabulary(folder / VOCABULARY, config)
    _check_special_tokens(folder, settings, vocabulary)
    return {name: value for name, value in settings.items() if name not in foreign}, foreign


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_vocabulary(path: Path, config) -> dict[str, int]:
    vocabulary = read_object(path)
    ids = list(vocabulary.values())
    if not all(_is_whole(i) for i in ids) or sorted(ids) != list(range(len(ids))):
        raise CheckpointError(f"{path}: expected the ids 0 to {len(ids) - 1}, each once")
    if len(vocabulary) != config.vocab_size:
        hint = f"; {_TO_ADD}" if (path.parent / "added_tokens.json").exists() else ""
        raise CheckpointError(f"{path}: {len(vocabulary)} tokens, but the embedding has {config.vocab_size} rows{hint}")
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    specials = ["[PAD]", "[MASK]"] if config.num_special_ids else []
    for i, (token, expected) in enumerate(zip(tokens, [*specials, *config.operations], strict=False)):
        if token != expected:
            raise CheckpointError(f"{path}: token {i} is {shown(token)}, the model's is {shown(expected)}")
    return vocabulary


def _is_token(token: dict[str, Any]) -> bool:
    flags = {name: value for name, value in token.items() if name != "content"}
    return set(flags) <= _TOKEN_FLAGS and all(isinstance(value, bool) for value in flags.values())


def _check_special_tokens(folder: Path, settings: dict[str, Any], vocabulary: dict[str, int]) -> None:
    """No token beyond the vocabulary: it would have no row in the embedding."""
    path = folder / TOKENIZER_CONFIG
    added = settings.get("added_tokens_decoder", {})
    if not isinstance(added, dict):
        raise CheckpointError(f"{path}: added_tokens_decoder must be an object, not {shown(added)}")
    for key, token in added.items():
        name = token.get("content") if isinstance(token, dict) and _is_token(token) else None
        if not isinstance(name, str) or str(vocabulary.get(name)) != key:
            raise CheckpointError(f"{path}: added token {shown(key)} is not the vocabulary's; {_TO_ADD}")
    for name in ("extra_special_tokens", "additional_special_tokens"):
        if settings.get(name):
            raise CheckpointError(f"{path}: {name} must be empty: each token needs a row in the embedding")
    for file in ("special_tokens_map.json", "added_tokens.json"):
        if not (folder / file).exists():
            continue
        for key, value in read_object(folder / file).items():
            content = value.get("content") if isinstance(value, dict) else value
            token = key if file == "added_tokens.json" else content
            if not isinstance(token, str) or token not in vocabulary:
                raise CheckpointError(f"{folder / file}: token {shown(token)} is not the vocabulary's; {_TO_ADD}")
            if file == "added_tokens.json" and vocabulary[token] != value:
                raise CheckpointError(f"{folder / file}: token {shown(token)} has the id {shown(value)}")
    for name, expected in (("pad_token", 0), ("mask_token", 1)):
        value = settings.get(name)
        content = value.get("content") if isinstance(value, dict) else value
        if value is not None and (not isinstance(content, str) or vocabulary.get(content) != expected):
            raise CheckpointError(f"{path}: {name} is {shown(value)}, expected token {expected} of the vocabulary")
