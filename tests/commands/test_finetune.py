import json

import numpy as np
import pytest
from transformers import AutoModelForSequenceClassification

from cate_hf import get_space
from cate_hf.commands._finetune import finetune
from cate_hf.predictor import load_predictor
from cate_hf.predictor.finetune import finetune_to_folder
from tests.tiny import save_tiny


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """60 cells with an accuracy and a latency; one has no accuracy."""
    space = get_space("nasbench101")
    cells = space.sample(60, seed=5).replace_columns({})
    many = (cells.operation_codes == space.vocabulary.index("conv3x3-bn-relu")).sum(1)
    accuracy = 0.85 + 0.02 * many + 0.001 * cells.num_nodes
    file = tmp_path_factory.mktemp("results") / "mine.jsonl"
    with file.open("w") as lines:
        for row, cell in enumerate(cells):
            labels = {"my_accuracy": accuracy[row] if row else None, "latency": 1 + many[row].item()}
            lines.write(json.dumps(cell.to_dict() | labels) + "\n")
    return file


def test_it_fits_measures_and_writes(results, tmp_path, capsys):
    model = save_tiny(tmp_path / "encoder")
    with pytest.warns(
        UserWarning, match="left out 1 of the 60 architectures of mine.jsonl: without my_accuracy or lat"
    ):
        finetune(
            space="nasbench101",
            output_dir=tmp_path / "out",
            train_size=40,
            table=f"table={results}",
            model=str(model),
            field=["my_accuracy", "latency"],
            members=2,
            statistics="structure",
            epochs=2,
            seed=0,
            test_size=20_000,
            keep_labels=True,
            overwrite=False,
        )
    said = capsys.readouterr().out
    assert "my_accuracy: Kendall tau 0." in said
    assert "on 19 held-out architectures" in said
    assert "40 labels" in said
    predictor = load_predictor(tmp_path / "out", device="cpu")
    assert predictor.facts["report"]["my_accuracy"]["kendall_tau"] > 0.4
    assert "mine.jsonl" in predictor.facts["oracle"]
    card = (tmp_path / "out" / "README.md").read_text()
    assert "On architectures that nothing of this predictor has seen" in card
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").config.num_members == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_size": 59}, "train-size must be 5 to 57, not 59: 59 architectures of mine.jsonl have my_accuracy"),
        ({"train_size": 3}, "train-size must be 5 to"),
        ({"fields": ["accurracy"]}, "accurracy"),
        ({"space": "nasbench201"}, "row 0"),
        ({"table": "nothing.csv"}, "nothing.csv"),
        ({"model": "no-such-model"}, "no-such-model"),
    ],
)
def test_bad_input_is_told_and_nothing_is_written(results, tmp_path, changes, message):
    arguments = {"space": "nasbench101", "train_size": 20, "table": f"table={results}", "fields": ["my_accuracy"]}
    if "table" in changes:
        changes = {"table": f"table={tmp_path / changes['table']}"}
    with pytest.raises((ValueError, OSError), match=message):
        finetune_to_folder(output_dir=tmp_path / "out", members=0, **(arguments | changes))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({6: 91.5}, r"row 0 \(0.5\) is a fraction and row 6 \(91.5\) in per cent"),
        ({7: -1.0}, "row 7: an accuracy is from 0 to 1, or to 100 in per cent, not -1$"),
        (
            {row: None for row in range(3, 12)},
            "3 architectures of a.jsonl have accuracy_of_cifar; at least 7 are needed",
        ),
    ],
)
def test_rows_are_those_of_the_file(tmp_path, numbers, message):
    file = tmp_path / "a.jsonl"
    cells = [cell.to_dict() for cell in get_space("nasbench101").sample(12, seed=1)]
    rows = [cell | {"accuracy_of_cifar": numbers.get(row, 0.5 + row / 100)} for row, cell in enumerate(cells)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ValueError, match=f"a.jsonl: .*{message}" if len(numbers) == 1 else message):
        finetune_to_folder("nasbench101", tmp_path / "out", 6, table=f"table={file}", members=0)


def test_equal_seeds_draw_equal_labels(results, tmp_path):
    def draw(name, seed):
        facts = finetune_to_folder(
            "nasbench101", tmp_path / name, 20, table=f"table={results}", fields=["latency"], members=0, seed=seed
        )
        return facts, load_predictor(tmp_path / name).labels.table.columns["hash"]

    first, hashes = draw("a", 0)
    again, same = draw("b", 0)
    _, other = draw("c", 1)
    assert np.array_equal(hashes, same)
    assert not np.array_equal(hashes, other)
    assert first["report"] == again["report"]
