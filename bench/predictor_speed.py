"""Time of fitting a predictor and of ranking a space, and members trained together beside one after another.

    python bench/predictor_speed.py [--labels 100] [--members 5] [--cells 20000]

Times are of the processor (all threads of the process), so that other programs do not count; the labels are made up,
which takes as long as true ones.
"""

import argparse
import time

import numpy as np

from cate_hf import fit_predictor, get_space, load_encoder
from cate_hf.predictor.members import MemberSettings, left_out, make_members, train_members


def seconds(function) -> tuple[float, object]:
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="nasbench101")
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--cells", type=int, default=20_000)
    options = parser.parse_args()
    space, encoder = get_space(options.space), load_encoder(options.space)
    rng = np.random.default_rng(0)
    pool = space.pool()
    rows = rng.permutation(len(pool))
    labelled, others = (pool[part].replace_columns({}) for part in np.split(rows, [options.labels])[:2])
    others = others[: options.cells]
    labels = 0.9 + 0.01 * rng.normal(size=options.labels)
    fit_predictor(labelled[:20], labels[:20], encoder=encoder, members=1, epochs=1)  # compile

    time_fit, predictor = seconds(
        lambda: fit_predictor(labelled, labels, encoder=encoder, members=options.members, seed=0)
    )
    print(f"fit_predictor, {options.labels:,} labels, {options.members} members: {time_fit:.1f} s")
    time_features, features = seconds(lambda: predictor.features(others))
    time_all, _ = seconds(lambda: predictor.predict(others, features=features))
    time_top, _ = seconds(lambda: predictor.top_k(100, others, features=features, screened=len(others) // 20))
    scale = len(pool) / len(others)
    print(
        f"of all {len(pool):,} (from {len(others):,}): features {scale * time_features:.0f} s, predict from them "
        f"{scale * time_all:.0f} s, top_k from them, a twentieth seen by the members, {scale * time_top:.0f} s"
    )

    inputs = encoder.tokenizer(labelled, return_tensors="pt")
    absent = left_out(options.labels, options.members, rng)
    settings = MemberSettings(members=options.members, epochs=10).for_labels(options.labels)
    wanted = rng.normal(size=(options.labels, 1))
    models = make_members(encoder.model, options.members, 1, 0)

    def train(first: int, last: int) -> None:
        train_members(models[first:last], inputs, wanted, absent[first:last], settings, 0)

    together, _ = seconds(lambda: train(0, options.members))
    apart, _ = seconds(lambda: [train(k, k + 1) for k in range(options.members)])
    print(f"10 epochs of {options.members} members, one after another / together: {apart / together:.2f}")


if __name__ == "__main__":
    main()
