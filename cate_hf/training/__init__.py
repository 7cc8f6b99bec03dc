"""Pre-training of CATE, run by `accelerate launch -m cate_hf.training.pretrain`."""
