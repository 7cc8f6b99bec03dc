"""Checkpoint folders that mean harm or are broken: how each is made from a sound one, and what is said of it.

The names are the rows of the table in docs/trust.md.
"""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

WEIGHTS, CONFIG, TOKENIZER, VOCABULARY = "model.safetensors", "config.json", "tokenizer_config.json", "vocab.json"
NORM = "cate.norm.weight"
CASES: dict[str, tuple[Callable[[Path], None], str]] = {}


def case(name: str, message: str):
    """Register a function that spoils a folder. `message`: what the error says, as a regular expression."""

    def register(spoil: Callable[[Path], None]) -> Callable[[Path], None]:
        CASES[name] = (spoil, message)
        return spoil

    return register


def change(file: str, **fields):
    """A function that sets fields of a JSON file; None as a value removes one."""

    def spoil(folder: Path) -> None:
        content = json.loads((folder / file).read_text())
        content |= fields
        (folder / file).write_text(json.dumps({k: v for k, v in content.items() if v is not None}))

    return spoil


def text(file: str, content: str | bytes):
    def spoil(folder: Path) -> None:
        (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())

    return spoil


def header(edit: Callable[[dict], None]):
    """A function that edits the header of the weights' file and leaves the data as they are."""

    def spoil(folder: Path) -> None:
        content = (folder / WEIGHTS).read_bytes()
        length = struct.unpack("<Q", content[:8])[0]
        entries = json.loads(content[8 : 8 + length])
        edit(entries)
        written = json.dumps(entries).encode()
        (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(written)) + written + content[8 + length :])

    return spoil


def weights(edit: Callable[[dict], None]):
    """A function that edits the tensors, and writes a sound file of them."""

    def spoil(folder: Path) -> None:
        tensors = {name: value.copy() for name, value in load_file(folder / WEIGHTS).items()}
        edit(tensors)
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})

    return spoil


def _config(name: str, message: str, **fields):
    case(name, message)(change(CONFIG, **fields))


def _tokenizer(name: str, message: str, **fields):
    case(name, message)(change(TOKENIZER, **fields))


# The configuration
_config("a config that asks for 10^9 layers", "'num_hidden_layers' is 1000000000", num_hidden_layers=10**9)
_config("10^9 layers of the cross encoder", "'num_cross_layers' is 1000000000", num_cross_layers=10**9)
_config("a hidden size of 10^9", "'hidden_size' is 1000000000", hidden_size=10**9)
_config("10^9 labels", "'num_labels' is 1000000000", num_labels=10**9, id2label=None, label2id=None)
_config("a vocabulary of 10^9 tokens", "'vocab_size' is 1000000000", vocab_size=10**9)
_config("architectures of 10^6 nodes", "'max_nodes' is 1000000", max_nodes=10**6)
_config("a number of 400 digits", "too long a number", hidden_size=int("9" * 400))
_config("sizes that the weights do not bear out", "has the shape .*, config.json makes it", hidden_size=65_536)
_config("more layers than there are weights for", "weights of .* are missing|has the shape", num_hidden_layers=250)
_config("a negative size", "'intermediate_size' is -1", intermediate_size=-1)
_config("no attention heads", "'num_attention_heads' is 0", num_attention_heads=0)
_config("a text where a number belongs", "num_hidden_layers", num_hidden_layers="2")
_config("a list where a number belongs", "'hidden_size' is .*not a list of", hidden_size=[["16"]])
_config("a fraction of a layer", "num_hidden_layers", num_hidden_layers=2.5)
_config("operations that are no names", "operation 1 is not a name", operations=[1, 2, 3, 4, 5])
_config("an operation there twice", "is there twice", operations=["a", "b", "a", "c", "d"])
_config("control characters in an operation", "is not a name without spaces", operations=["a", "\x1b[J", "b", "c", "d"])
_config("control characters in the space's name", "space must be a name", space="x\n\x1b[31mred")
_config("an activation that is none", "hidden_act 'os.system' is no activation", hidden_act="os.system")
_config("an attribute of torch as its dtype", "'dtype' is 'load'", dtype="load")
_config("attention by a kernel from the Hub", "'attn_implementation' is not one of", attn_implementation="evil/kernel")
_config("the same under its private name", "'_attn_implementation' is not one of", _attn_implementation="evil/kernel")
_config("weights of another name", "'transformers_weights' is not one of", transformers_weights="../x.safetensors")
_config("a configuration for each layer", "'per_layer_config' is not one of", per_layer_config={"0": {}})
_config(
    "code of another repository",
    "'AutoModel' is 'evil/code--modeling.Model', not a class in a file of this folder",
    auto_map={"AutoModel": "evil/code--modeling.Model"},
)
_config(
    "code in a folder above",
    "is '../modeling.Model', not a class in a file",
    auto_map={"AutoModel": "../modeling.Model"},
)
_config("a field that is not known", "did you mean 'hidden_size'", hidden_sice=16)
_config("another kind of model", "model_type is 'bert'", model_type="bert")
_config("a class that is not CATE's", "architectures is .'GPT2LMHeadModel'", architectures=["GPT2LMHeadModel"])
_config("a format of a later version", "made by a newer version of cate_hf", format_version=10_000)
_config("a format that is no number", "format_version is 'x'", format_version="x")
case("a config that is not JSON", "not valid JSON")(text(CONFIG, "{"))
case("a config that is not UTF-8", "not UTF-8")(text(CONFIG, b'{"a": "\xff"}'))
case("a config that is a list", "expected an object")(text(CONFIG, "[]"))
case("a config nested 100,000 deep", "nested too deeply")(text(CONFIG, "[" * 100_000))
case("a config nested 300 deep", "nested too deeply")(text(CONFIG, '{"a": ' + "[" * 300 + "]" * 300 + "}"))
case("a config of 2 MB", "larger than 1,048,576 bytes")(text(CONFIG, '{"a": "' + "x" * 2_000_000 + '"}'))
case("a key of the config twice", "is there twice")(text(CONFIG, '{"model_type": "cate", "model_type": "bert"}'))
case("NaN in the config", "no finite number")(text(CONFIG, '{"model_type": "cate", "layer_norm_eps": NaN}'))


# The weights' file
@case("a header of 2^62 bytes", "it declares a header of 4,611,686,018,427,387,904 bytes")
def _header_bomb(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", 1 << 62) + content[8:])


case("a header that is nested 100,000 deep", "nested too deeply")(
    text(WEIGHTS, struct.pack("<Q", 100_000) + b"[" * 100_000)
)
case("weights of no bytes", "damaged or truncated")(text(WEIGHTS, b""))


@case("truncated weights", "damaged or truncated")
def _truncated(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2])


@case("bytes after the weights", "1,000 bytes after the last tensor belong to none")
def _longer(folder: Path) -> None:
    with open(folder / WEIGHTS, "ab") as file:
        file.write(bytes(1000))


@case("a sparse file of 100 GB and a tensor to fill it", "has the shape .* config.json makes it")
def _sparse(folder: Path) -> None:
    count = 25 * 10**9
    entry = {NORM: {"dtype": "F32", "shape": [count], "data_offsets": [0, 4 * count]}}
    written = json.dumps(entry).encode()
    with open(folder / WEIGHTS, "wb") as file:
        file.write(struct.pack("<Q", len(written)) + written)
        file.truncate(8 + len(written) + 4 * count)


def _set(**fields):
    return lambda entries: entries[NORM].update(fields)


case("a tensor that declares 100 GB", "declares 100,000,000,000 bytes")(header(_set(shape=[25 * 10**9])))
case("sizes whose product overflows", "declares")(header(_set(shape=[2**62, 2**62])))
case("a negative shape", "expected a list of sizes")(header(_set(shape=[-16])))
case("a shape of true and false", "expected a list of sizes")(header(_set(shape=[True, 16])))
case("a tensor beyond the end of the file", "damaged or truncated")(header(_set(data_offsets=[10**12, 10**12 + 64])))
case("offsets the wrong way round", "damaged or truncated")(header(_set(data_offsets=[64, 0])))
case("a tensor over another", "lie over each other|belong to none")(header(_set(data_offsets=[0, 64])))
case("a dtype that is none", "is of type 'F1024'")(header(_set(dtype="F1024")))
case("whole numbers as weights", "is of type 'I32'")(header(_set(dtype="I32")))
case("a tensor without offsets", "must have dtype, shape and data_offsets")(
    header(lambda h: h[NORM].pop("data_offsets"))
)
case("metadata that are no texts", "__metadata__ must map")(header(lambda h: h.update(__metadata__={"format": 1})))
case("a missing tensor", f"1 weights of CateForPreTraining are missing, such as '{NORM}'")(
    weights(lambda t: t.pop(NORM))
)
case("a tensor too many", "tensor 'evil' has no place")(weights(lambda t: t.update(evil=np.zeros(4, np.float32))))
case("a tensor of another shape", r"has the shape \(3,\), config.json")(
    weights(lambda t: t.update({NORM: np.zeros(3, np.float32)}))
)
case("NaN among the weights", "infinite or NaN")(weights(lambda t: t[NORM].__setitem__(3, np.nan)))
case("infinity among the weights", "infinite or NaN")(weights(lambda t: t[NORM].__setitem__(15, -np.inf)))
case("NaN among weights of half precision", "infinite or NaN")(
    weights(lambda t: t.update({NORM: np.array([np.nan] * 16, np.float16)}))
)


# Pickles, links and other files
@case("a pickle as the only weights", "no model.safetensors .pytorch_model.bin is a pickle, which is never loaded")
def _only_pickle(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n(S'false'\ntR.")


@case("a pickle under the name of safetensors", "header of .* bytes, and is not read")
def _disguised(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"\x80\x04cos\nsystem\n(S'false'\ntR." * 10)


@case("an index that leads out of the folder", "is put in '../outside.safetensors', no file of this folder")
def _index(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder.parent / "outside.safetensors")
    index = {"metadata": {}, "weight_map": {NORM: "../outside.safetensors"}}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))


@case("an index that names what is not there", "model-00001-of-00001.safetensors: no such file")
def _index_of_nothing(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / f"{WEIGHTS}.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": {NORM: "model-00001-of-00001.safetensors"}})
    )


def _link(file: str, target: str):
    def spoil(folder: Path) -> None:
        (folder / file).unlink(missing_ok=True)
        os.symlink(target, folder / file)

    return spoil


case("a link to a file elsewhere", "'README.md' is a link that leaves the folder")(_link("README.md", "/etc/passwd"))
case("a config that is a link to elsewhere", "is a link that leaves the folder")(_link(CONFIG, "../../secret.json"))
case("a link to a folder elsewhere", "'code' is a link that leaves the folder")(_link("code", "/etc"))
case("a link to nothing", "'lost.json' is a link to nothing")(_link("lost.json", "nowhere.json"))
case("a link to itself", "'self.json' is a link")(_link("self.json", "self.json"))


@case("a pipe for a file", "is neither a file nor a folder")
def _pipe(folder: Path) -> None:
    (folder / VOCABULARY).unlink()
    os.mkfifo(folder / VOCABULARY)


case("an adapter of another model", "adapter_config.json would have another model loaded")(
    text("adapter_config.json", '{"base_model_name_or_path": "evil/model"}')
)

# The tokenizer
_tokenizer("padding to 10^9 positions", "pad_to is 1000000000", pad_to=10**9)
_tokenizer("a tokenizer of another class", "tokenizer_class is 'GPT2Tokenizer'", tokenizer_class="GPT2Tokenizer")
_tokenizer("a vocabulary file elsewhere", "'vocab_file' is not one of CATE's tokenizer", vocab_file="/etc/passwd")
_tokenizer("ids that alias operations where they do not", "alias_special_ids is True", alias_special_ids=True)
_tokenizer("tokens beyond the vocabulary", "added token '9'", added_tokens_decoder={"9": {"content": "evil"}})
_tokenizer("special tokens of its own", "must be empty", extra_special_tokens={"evil": "[EVIL]"})
_tokenizer("a chat template", "'chat_template' is not one of CATE's tokenizer", chat_template="{{ 1 / 0 }}")
case("a tokenizer's configuration that is a list", "expected an object")(text(TOKENIZER, "[]"))
case("a tokenizer of another library", "tokenizer.json is no file of CATE's")(text("tokenizer.json", "{}"))
case("added tokens in a file", "token 'evil' is not the vocabulary's")(text("added_tokens.json", '{"evil": 99}'))
case("no vocabulary", "vocab.json: no such file")(lambda folder: (folder / VOCABULARY).unlink())
case("a vocabulary that is not JSON", "not valid JSON")(text(VOCABULARY, "{"))
case("an id of the vocabulary twice", "expected the ids 0 to 1")(text(VOCABULARY, '{"[PAD]": 0, "[MASK]": 0}'))
case("ids that are no numbers", "expected the ids")(text(VOCABULARY, '{"[PAD]": "0", "[MASK]": true}'))
case("a vocabulary that does not match the embedding", "4 tokens, but the embedding has 7 rows")(
    text(VOCABULARY, '{"[PAD]": 0, "[MASK]": 1, "a": 2, "b": 3}')
)


@case("operations of the vocabulary in another order", "token 2 is 'output', the model's is 'input'")
def _order(folder: Path) -> None:
    vocabulary = json.loads((folder / VOCABULARY).read_text())
    vocabulary["input"], vocabulary["output"] = vocabulary["output"], vocabulary["input"]
    (folder / VOCABULARY).write_text(json.dumps(vocabulary))


# The description of a search space of one's own
SPACE = "name: {name}\noperations: [conv, pool]\nnodes: [2, 6]\n"
case("a space of another name", "its name is 'other', the model's is 'nasbench101'")(
    text("space.yaml", SPACE.format(name="other"))
)
case("a space of other operations", "its vocabulary is")(text("space.yaml", SPACE.format(name="nasbench101")))
case("a space's file that makes objects", "not valid YAML")(
    text("space.yaml", "!!python/object/apply:os.system ['touch evil']")
)
case("a space's file that unfolds to gigabytes", "aliases such as")(
    text("space.yaml", "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n")
)
