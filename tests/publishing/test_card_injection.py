"""Names from elsewhere in cards: whatever they are, the card has the structure that it has with plain ones."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from cate_hf import CateConfig
from cate_hf.hub.cards import render_dataset_card, render_model_card
from cate_hf.publishing.card_files import check_card

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% for x in range(9) %}x{% endfor %}",
    "{{ config.__class__.__mro__ }}",
    "[here](https://evil.example)",
    "![](https://evil.example/x.png)",
    "<https://evil.example>",
    "a | b | c",
    "```\n\n# Title\n\n<b>bold</b>\n\n```python",
    "` | <i>x</i> | `",
    "\n---\nlicense: evil\n---\n",
    "x\n\n## Section\n\n- item",
    "&lt;b&gt;",
    "\\",
    "trailing\\",
    "a\u2028b\u202ec",
    "~~~\n<b>x</b>",
    "*a* _b_ __c__ **d** ~~e~~",
]
PIECES = [*"<>[]()`|\\!#*_~{}%&-=:\"'\n \t1.", "a", "http://b.c", "<b>", "{{", "{%", "```", "---"]
SPECIAL = st.lists(st.sampled_from(PIECES), min_size=1, max_size=20).map("".join)
TEXTS = st.one_of(st.sampled_from(HOSTILE), SPECIAL, st.text(min_size=1, max_size=40)).filter(lambda t: t.strip())


def model_card(text: str, example: bool = True) -> str:
    operations = [f"{i}{text}" for i in range(3)]
    facts = {
        "space": text,
        "preset": text,
        "command": text,
        "converted_from": text,
        "machine": text,
        "mixed_precision": text,
        "title": text,
        "pairs": {"cost": text, "window": 10},
        "kendall_tau": {text: {50: 0.5}},
        "tau_protocol": text,
        "datasets": ["owner/pairs"],
        "example": json.dumps({"operations": operations, "adjacency": [[0, 1, 0], [0, 0, 1], [0, 0, 0]]}),
    }
    if not example:
        del facts["example"]
    config = CateConfig(space=text, operations=operations, vocab_size=5)
    return render_model_card(facts, config, 1000)


def dataset_card(text: str) -> str:
    facts = {
        "space": text,
        "architectures": 10,
        "pairs": 20,
        "train_pairs": 18,
        "validation_pairs": 2,
        "cost": text,
        "window": 5,
        "partners": 4,
        "seed": 0,
        "without_partner": 1,
        "vocabulary": [f"{i}{text}" for i in range(3)],
        "cost_quantiles": {text: {"0.5": 1.0}},
        "cost_histogram": [{"from": 0, "to": 1, "count": 3}],
        "sampled": True,
        "distribution": text,
        "space_version": text,
        "command": text,
        "title": text,
        "max_nodes": 7,
        "max_edges": 9,
    }
    return render_dataset_card(facts)


def structure(card: str) -> list:
    """What a reader of Markdown sees but for texts and their emphasis: blocks, links, pictures, HTML."""
    front, _, body = card.removeprefix("---\n").partition("\n---\n")
    assert front
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(body)
    blocks = [(token.type, token.tag) for token in tokens]
    marks = [
        (inline.type, inline.attrs.get("href") or inline.attrs.get("src"))
        for token in tokens
        for inline in token.children or ()
        if inline.type not in ("text", "softbreak", "text_special", "code_inline")
        and not inline.type.startswith(("em_", "strong_", "s_"))
    ]
    return [blocks, marks]


def model_card_without_example(text: str) -> str:
    return model_card(text, example=False)


@pytest.mark.parametrize("render", [model_card, model_card_without_example, dataset_card])
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_change_nothing_but_texts(render, text):
    card = render(text)
    assert structure(card) == structure(render("plain"))
    check_card(card, "dataset" if render is dataset_card else "model")


@pytest.mark.parametrize("render", [model_card, dataset_card])
def test_jinja_in_names_is_not_evaluated(render):
    assert "7777" not in render("{{ 7 * 1111 }}")
    assert "7 * 1111" in render("{{ 7 * 1111 }}")


@settings(deadline=None, max_examples=30)
@given(TEXTS)
def test_any_name_changes_nothing_but_texts(text):
    for render in (model_card, model_card_without_example, dataset_card):
        assert structure(render(text)) == structure(render("plain")), render.__name__
