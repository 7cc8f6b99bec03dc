import pytest

from cate_hf.modeling import CateConfig
from cate_hf.spaces import get_space


def test_presets():
    space = get_space("nasbench101")
    default, paper = CateConfig.for_space(space), CateConfig.paper(space)
    assert (default.vocab_size, default.pad_token_id, default.mask_token_id, default.num_special_ids) == (7, 0, 1, 2)
    assert (paper.vocab_size, paper.pad_token_id, paper.mask_token_id, paper.num_special_ids) == (5, 0, 1, 0)
    sizes = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    cross = ("num_cross_layers", "cross_intermediate_size", "segment_vocab_size", "hidden_dropout_prob")
    assert [getattr(paper, k) for k in (*sizes, *cross)] == [64, 12, 8, 128, 24, 256, 2, 0.1]
    assert paper.pooling == "last"
    assert paper.attention_direction == "descendants"
    assert not paper.attend_to_self
    assert paper.padding_is_visible
    assert (paper.relation_buckets, paper.node_features, paper.statistics, paper.encoding_size) == (0, False, None, 64)
    assert CateConfig.paper("nasbench101").to_dict() == paper.to_dict()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hiden_size": 3}, "no field 'hiden_size'; did you mean 'hidden_size'"),
        ({"hidden_size": 65}, "hidden_size .65. must be a multiple of num_attention_heads .8."),
        ({"attention_direction": "up"}, "attention_direction must be one of"),
        ({"pooling": "max"}, "pooling must be one of"),
        ({"num_attention_heads": 1, "attention_direction": "split"}, "even num_attention_heads"),
        ({"hidden_dropout_prob": 1.0}, "hidden_dropout_prob must be in"),
        ({"mask_token_id": 9}, "mask_token_id .9. is not an id below vocab_size .7."),
        ({"vocab_size": 6, "operations": ["a"] * 5}, "vocab_size .6. is too small for 5 operations and 2 special ids"),
        ({"relation_buckets": -1}, "relation_buckets must be 0 or more"),
        ({"statistics": ["edges"]}, "statistics are predicted by pooling 'mean_output_sum', not by 'mean'"),
        ({"encoding_dim": 8}, "encoding_dim is of the projection"),
        ({"encoding_dim": 0, "pooling": "mean_output_sum"}, "learnt_size"),
        ({"num_hidden_layers": 0}, "num_hidden_layers must be at least 1"),
        ({"num_attention_heads": 0}, "num_attention_heads must be at least 1"),
    ],
)
def test_refuses(fields, message):
    with pytest.raises(ValueError, match=message):
        CateConfig(**fields)


@pytest.mark.parametrize("fields", [{"hidden_size": "64"}, {"edge_bias": 1}, {"pooling": None}])
def test_types_are_strict(fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        CateConfig(**fields)


def test_saved_and_loaded_alike(tmp_path):
    config = CateConfig.for_space("nasbench101", edge_bias=False, label_smoothing=0.2)
    config.save_pretrained(tmp_path)
    loaded = CateConfig.from_pretrained(tmp_path)
    ours, theirs = config.to_dict(), loaded.to_dict()
    assert {k: v for k, v in ours.items() if k != "_name_or_path"} == {
        k: v for k, v in theirs.items() if k != "_name_or_path"
    }
