import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, DataCollatorWithPadding

import cate_hf  # noqa: F401 (registers the Auto classes)
from cate_hf import Architecture
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.modeling import CateConfig
from cate_hf.tokenization import CateTokenizer
from tests.strategies import VOCABULARY, architectures

relaxed = settings(deadline=None, max_examples=60)

TOKENIZER = CateTokenizer(operations=VOCABULARY)
PAPER = CateTokenizer(operations=VOCABULARY, alias_special_ids=True, pad_to=7)
both = pytest.mark.parametrize("tokenizer", [TOKENIZER, PAPER], ids=["default", "paper"])

CELL = Architecture(
    ["input", "conv3x3-bn-relu", "maxpool3x3", "output"], [[0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 1], [0] * 4]
)
SHORT = Architecture(["input", "output"], [[0, 1], [0, 0]])


class TestBatches:
    def test_default(self):
        batch = TOKENIZER([CELL, SHORT], return_tensors="pt")
        assert batch["input_ids"].tolist() == [[2, 4, 5, 6], [2, 6, 0, 0]]
        assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
        assert batch["adjacency"][0].tolist() == CELL.adjacency.tolist()
        assert batch["adjacency"][1].tolist() == [[0, 1, 0, 0], [0] * 4, [0] * 4, [0] * 4]
        assert [batch[key].dtype for key in batch] == [torch.int64, torch.int64, torch.uint8]
        assert batch.to("cpu")["adjacency"].shape == (2, 4, 4)

    def test_paper(self):
        batch = PAPER([CELL, SHORT], return_tensors="np")
        assert batch["input_ids"].tolist() == [[0, 2, 3, 4, 0, 0, 0], [0, 4, 0, 0, 0, 0, 0]]
        assert batch["attention_mask"].sum(axis=1).tolist() == [4, 2]
        assert batch["adjacency"].shape == (2, 7, 7)

    @pytest.mark.parametrize("one", [CELL, CELL.to_dict(), {**CELL.to_dict(), "hash": "x"}])
    def test_one_architecture(self, one):
        assert TOKENIZER(one, return_tensors="pt")["input_ids"].tolist() == [[2, 4, 5, 6]]
        assert TOKENIZER(one)["input_ids"] == [2, 4, 5, 6]
        assert TOKENIZER(one)["adjacency"] == CELL.adjacency.tolist()
        assert TOKENIZER.encode(one) == [2, 4, 5, 6]
        assert TOKENIZER([one])["input_ids"] == [[2, 4, 5, 6]]

    def test_batch_of_a_dataset(self):
        rows = {"operations": [list(CELL.operations)] * 2, "adjacency": [CELL.adjacency.tolist()] * 2}
        assert TOKENIZER(rows)["input_ids"] == [[2, 4, 5, 6]] * 2

    def test_padding(self):
        pair = [CELL, SHORT]
        assert TOKENIZER(pair, padding=False)["input_ids"] == [[2, 4, 5, 6], [2, 6]]
        assert TOKENIZER(pair, padding=False)["adjacency"][1] == [[0, 1], [0, 0]]
        assert PAPER(SHORT, padding=False)["input_ids"] == [0, 4]
        assert TOKENIZER(pair, padding="max_length", max_length=6, return_tensors="np")["adjacency"].shape == (2, 6, 6)
        assert TOKENIZER(pair, pad_to_multiple_of=8, return_tensors="np")["input_ids"].shape == (2, 8)
        assert TOKENIZER([], return_tensors="np")["adjacency"].shape == (0, 0, 0)
        assert PAPER([], return_tensors="pt")["adjacency"].shape == (0, 7, 7)

    @both
    @relaxed
    @given(rows=st.lists(architectures(), min_size=1, max_size=5))
    def test_table_as_list(self, tokenizer, rows):
        order = ("output", "maxpool3x3", "unused", "conv3x3-bn-relu", "input", "conv1x1-bn-relu")  # codes are not ids
        table = ArchitectureTable.from_architectures(rows, vocabulary=order)
        fast, slow = tokenizer(table, return_tensors="np"), tokenizer(rows, return_tensors="np")
        for key in slow:
            assert fast[key].dtype == slow[key].dtype
            assert np.array_equal(fast[key], slow[key])

    def test_table_is_cut_to_its_longest_row(self):
        table = ArchitectureTable.from_architectures([CELL, SHORT], vocabulary=VOCABULARY)
        assert TOKENIZER(table[1:], return_tensors="np")["adjacency"].tolist() == [[[0, 1], [0, 0]]]
        assert TOKENIZER(table)["input_ids"] == [[2, 4, 5, 6], [2, 6, 0, 0]]

    def test_masked_node(self):
        row = {"operations": ["input", "[MASK]", "output"], "adjacency": np.eye(3, k=1, dtype=int)}
        assert TOKENIZER(row)["input_ids"] == [2, TOKENIZER.mask_token_id, 6]


class TestPad:
    @both
    @relaxed
    @given(rows=st.lists(architectures(), min_size=1, max_size=4))
    def test_as_the_call(self, tokenizer, rows):
        features = [tokenizer(row, padding=False) for row in rows]
        for given_features in (features, {key: [f[key] for f in features] for key in features[0]}):
            padded, expected = tokenizer.pad(given_features, return_tensors="pt"), tokenizer(rows, return_tensors="pt")
            for key in expected:
                assert padded[key].dtype == expected[key].dtype
                assert torch.equal(padded[key], expected[key])

    def test_labels_and_other_columns(self):
        features = [
            {**TOKENIZER(CELL), "labels": [-100, 4, -100, 6], "accuracy": 0.9},
            {**TOKENIZER(SHORT), "labels": [2, -100], "accuracy": 0.8},
        ]
        batch = TOKENIZER.pad(features, return_tensors="pt")
        assert batch["labels"].tolist() == [[-100, 4, -100, 6], [2, -100, -100, -100]]
        assert batch["accuracy"].dtype == torch.float32
        features = [{**TOKENIZER(CELL), "labels": [0.9, 0.1]}, {**TOKENIZER(SHORT), "labels": [0.8, 0.2]}]
        torch.testing.assert_close(
            TOKENIZER.pad(features, return_tensors="pt")["labels"], torch.tensor([[0.9, 0.1], [0.8, 0.2]])
        )

    def test_one_and_types(self):
        assert TOKENIZER.pad(TOKENIZER(SHORT), padding="max_length", max_length=3)["input_ids"] == [[2, 6, 0]]
        assert isinstance(
            TOKENIZER.pad([{"input_ids": np.array([2, 6]), "adjacency": np.eye(2, k=1)}])["input_ids"], np.ndarray
        )
        with pytest.raises(ValueError, match="pad needs a list of dicts with input_ids"):
            TOKENIZER.pad([{"input_ids": [2, 6]}])

    def test_collator_of_transformers(self):
        batch = DataCollatorWithPadding(TOKENIZER)([{**TOKENIZER(arch), "label": 1.0} for arch in (CELL, SHORT)])
        assert batch["adjacency"].shape == (2, 4, 4)
        assert batch["labels"].tolist() == [1.0, 1.0]


class TestDecode:
    @both
    @relaxed
    @given(rows=st.lists(architectures(), min_size=1, max_size=4))
    def test_round_trip(self, tokenizer, rows):
        for batch in (tokenizer(rows, return_tensors="pt"), tokenizer(rows, padding="max_length", max_length=7)):
            masks = batch["attention_mask"]
            assert tokenizer.decode(batch["input_ids"], batch["adjacency"], masks) == rows
            assert tokenizer.decode(batch["input_ids"][0], batch["adjacency"][0], masks[0]) == rows[0]
            if tokenizer is TOKENIZER:
                assert tokenizer.decode(batch["input_ids"], batch["adjacency"]) == rows

    def test_padding_without_a_mask(self):
        batch = PAPER([CELL, SHORT], return_tensors="pt")
        assert PAPER.decode(batch["input_ids"], batch["adjacency"]) == [CELL, SHORT]

    def test_errors(self):
        edges = np.eye(3, k=1, dtype=int)
        with pytest.raises(ValueError, match="position 1 is padding, but nodes follow"):
            TOKENIZER.decode([2, 0, 6], edges)
        with pytest.raises(ValueError, match=r"ids \(3,\) need adjacency \(3, 3\), got \(2, 2\)"):
            TOKENIZER.decode([2, 4, 6], edges[:2, :2])
        with pytest.raises(ValueError, match="id 7 is not one of the vocabulary's, 0 to 6"):
            TOKENIZER.decode([2, 7, 6], edges)
        with pytest.raises(ValueError, match="attention_mask of that shape"):
            TOKENIZER.decode([2, 4, 6], edges, [1, 1])


class TestTokens:
    def test_default_ids(self):
        assert len(TOKENIZER) == TOKENIZER.vocab_size == 7
        assert (TOKENIZER.pad_token_id, TOKENIZER.mask_token_id, TOKENIZER.unk_token_id) == (0, 1, None)
        assert TOKENIZER.get_vocab() == {"[PAD]": 0, "[MASK]": 1, **{name: i + 2 for i, name in enumerate(VOCABULARY)}}

    def test_paper_ids(self):
        assert len(PAPER) == 5
        assert (PAPER.pad_token_id, PAPER.mask_token_id) == (0, 1)
        assert PAPER.convert_ids_to_tokens([0, 1, 2, 3, 4]) == list(VOCABULARY)

    @both
    def test_conversions(self, tokenizer):
        ids = tokenizer.convert_tokens_to_ids(list(VOCABULARY))
        assert tokenizer.convert_ids_to_tokens(ids) == list(VOCABULARY)
        assert tokenizer.convert_tokens_to_ids("output") == ids[-1]
        assert tokenizer.decode(ids) == " ".join(VOCABULARY)
        assert tokenizer.tokenize("input output") == ["input", "output"]
        with pytest.raises(ValueError, match="unknown operation 'conv7x7'; known: input, conv1x1-bn-relu"):
            tokenizer.convert_tokens_to_ids("conv7x7")

    def test_batch_decode(self):
        ids = TOKENIZER([CELL, SHORT])["input_ids"]
        assert TOKENIZER.batch_decode(ids, skip_special_tokens=True)[1] == "input output"

    def test_from_config(self):
        for config, twin in (
            (CateConfig.for_space("nasbench101"), TOKENIZER),
            (CateConfig.paper("nasbench101"), PAPER),
        ):
            tokenizer = CateTokenizer.from_config(config)
            assert tokenizer.get_vocab() == twin.get_vocab()
            assert (tokenizer.pad_to, tokenizer.alias_special_ids) == (twin.pad_to, twin.alias_special_ids)
            assert tokenizer.model_max_length == 7
            assert (tokenizer.pad_token_id, tokenizer.mask_token_id) == (config.pad_token_id, config.mask_token_id)


class TestErrors:
    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ({"operations": ["a"]}, "field 'adjacency' is missing"),
            ({"adjacency": [[0]]}, "field 'operations' is missing"),
            ((["input", "conv7x7"], [[0, 1], [0, 0]]), "node 1 has unknown operation 'conv7x7'; known: input, conv1x1"),
            ((["input", "[PAD]"], [[0, 1], [0, 0]]), r"node 1 has unknown operation '\[PAD\]'"),
            ((["input", 3], [[0, 1], [0, 0]]), "node 1 has unknown operation 3"),
            (("input", [[0, 1], [0, 0]]), "operations must be a list of names, got 'input'"),
            ((["input"], [[0]]), "at least 2 nodes are needed, input and output, got 1"),
            (([], []), "at least 2 nodes are needed"),
            ((["input", "output"], [[0, 1], [0]]), "2 operations need a square adjacency matrix, 2 x 2"),
            ((["input", "output"], [[0, 1, 0], [0, 0, 0]]), "matrix, 2 x 2, got 2 x 3"),
            ((["input", "output"], None), "2 operations need a square adjacency matrix"),
            ((["input", "output"], [[0, float("nan")], [0, 0]]), r"integers 0 and 1 \(no NaN, no floats\)"),
            ((["input", "output"], [[0, 0.5], [0, 0]]), r"integers 0 and 1 \(no NaN, no floats\)"),
            ((["input", "output"], [[0, 2], [0, 0]]), r"adjacency\[0\]\[1\] is 2, expected 0 or 1"),
            ((["input", "output"], [[0, 1], [1, 0]]), "edge 1 -> 0 goes backward"),
            ((["input", "output"], [[0, 1], [0, 1]]), "edge 1 -> 1 goes backward"),
        ],
    )
    def test_graphs(self, row, message):
        row = row if isinstance(row, dict) else dict(zip(("operations", "adjacency"), row, strict=True))
        with pytest.raises(ValueError, match="^architecture: .*" + message) as caught:
            TOKENIZER(row)
        assert "\n" not in str(caught.value)
        with pytest.raises(ValueError, match="^architecture 1: .*" + message):
            TOKENIZER([CELL, row])

    @relaxed
    @given(
        names=st.lists(st.sampled_from([*VOCABULARY, 3]), max_size=4),
        matrix=st.lists(st.lists(st.sampled_from([0, 0, 0, 1, 2, 0.5]), max_size=4), max_size=4),
    )
    def test_refuses_what_architecture_refuses(self, names, matrix):
        def accepts(function):
            try:
                function()
            except ValueError:
                return False
            return True

        row = {"operations": names, "adjacency": matrix}
        assert accepts(lambda: TOKENIZER(row)) == accepts(lambda: Architecture.from_dict(row))

    @pytest.mark.parametrize("thing", ["input", 3, None, [3], [["input", "output"]]])
    def test_not_architectures(self, thing):
        with pytest.raises(ValueError, match="expected"):
            TOKENIZER(thing)

    def test_unknown_operation_in_a_table(self):
        table = ArchitectureTable.from_architectures(
            [SHORT, Architecture(["input", "x", "output"], np.eye(3, k=1, dtype=int))]
        )
        with pytest.raises(ValueError, match="row 1: node 1 has unknown operation 'x'; known: input"):
            TOKENIZER(table)

    def test_too_long(self):
        long = Architecture(["input", *["maxpool3x3"] * 6, "output"], np.eye(8, k=1, dtype=int))
        with pytest.raises(ValueError, match="architecture 1 has 8 nodes, more than pad_to = 7"):
            PAPER([CELL, long])
        with pytest.raises(ValueError, match="architecture 0 has 8 nodes, more than max_length = 5"):
            TOKENIZER(long, max_length=5)
        limited = CateTokenizer(operations=VOCABULARY, model_max_length=7)
        with pytest.raises(ValueError, match="more than model_max_length = 7"):
            limited(long)

    def test_arguments(self):
        with pytest.raises(ValueError, match="cannot be truncated"):
            TOKENIZER(CELL, truncation=True)
        with pytest.raises(TypeError, match="unexpected argument 'text_pair'"):
            TOKENIZER(CELL, text_pair=SHORT)
        with pytest.raises(ValueError, match="need padding=True to become tensors"):
            TOKENIZER([CELL, SHORT], padding=False, return_tensors="pt")
        with pytest.raises(ValueError, match="padding='max_length' needs max_length"):
            TOKENIZER(CELL, padding="max_length")
        with pytest.raises(ValueError, match="padding must be True, False"):
            TOKENIZER(CELL, padding="long")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({}, "needs either operations"),
            ({"operations": ["a", "a"]}, "each once"),
            ({"operations": ["a"]}, "at least 2 operations"),
            ({"operations": ["a", "[MASK]"]}, r"operation '\[MASK\]' must be a name"),
            ({"operations": ["a", "b c"]}, "operation 'b c' must be a name without spaces"),
            (
                {"operations": ["a", "b"], "pad_to": 1},
                "pad_to must be None or a number of positions, at least 2, not 1",
            ),
            ({"operations": ["a", "b"], "padding_side": "left"}, "padding_side must be 'right'"),
        ],
    )
    def test_constructor(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            CateTokenizer(**arguments)


class TestPersistence:
    @both
    def test_round_trip(self, tokenizer, tmp_path):
        tokenizer.save_pretrained(tmp_path)
        files = {"vocab.json", "tokenizer_config.json", "tokenization_cate.py", "graph_inputs_cate.py"}
        assert files == set(os.listdir(tmp_path))
        for loaded in (CateTokenizer.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)):
            assert type(loaded) is CateTokenizer
            assert loaded.get_vocab() == tokenizer.get_vocab()
            assert (loaded.pad_to, loaded.alias_special_ids) == (tokenizer.pad_to, tokenizer.alias_special_ids)
            assert (loaded.pad_token_id, loaded.mask_token_id) == (0, 1)
            assert loaded([CELL, SHORT])["input_ids"] == tokenizer([CELL, SHORT])["input_ids"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "vocab.json: not a vocabulary in JSON"),
            ("[1]", "vocab.json: expected an object that maps each token to its id"),
            ('{"[PAD]": 0, "[MASK]": 1, "a": 3, "b": 4}', "ids 0 to the number of tokens - 1"),
            ('{"a": 0, "b": 1}', r"vocab.json: expected \[PAD\] with id 0 and \[MASK\] with id 1"),
        ],
    )
    def test_bad_vocabulary(self, tmp_path, text, message):
        TOKENIZER.save_pretrained(tmp_path)
        (tmp_path / "vocab.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            CateTokenizer.from_pretrained(tmp_path)

    def test_remote_code_without_the_package(self, tmp_path):
        """A fresh process that cannot import cate_hf, offline."""
        PAPER.save_pretrained(tmp_path / "saved")
        code = """
            import json, sys

            class NoPackage:
                def find_spec(self, name, path=None, target=None):
                    if name.partition(".")[0] == "cate_hf":
                        raise ModuleNotFoundError("No module named 'cate_hf'")

            sys.meta_path.insert(0, NoPackage())
            from transformers import AutoTokenizer
            folder, row = sys.argv[1], json.loads(sys.argv[2])
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
            batch = tokenizer([row], return_tensors="pt")
            tokenizer.save_pretrained(folder + "-again")
            back = tokenizer.decode(batch["input_ids"], batch["adjacency"])[0]
            print(json.dumps([type(tokenizer).__module__, batch["input_ids"].tolist(), back]))
        """
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(tmp_path / "modules")}
        command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "saved"), CELL.to_json()]
        run = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
        assert run.returncode == 0, run.stderr
        module, ids, back = json.loads(run.stdout)
        assert module.startswith("transformers_modules.")
        assert ids == [[0, 2, 3, 4, 0, 0, 0]]
        assert Architecture.from_dict(back) == CELL
        assert set(os.listdir(tmp_path / "saved-again")) == set(os.listdir(tmp_path / "saved"))
