"""NAS-Bench-301 (Siems et al., ICLR 2022): accuracies and runtimes of DARTS networks as surrogate models predict them.

`load_benchmark("nasbench301", path=...)` takes any of three, and its repr says which it is:

- the labels table, a Parquet file of genotypes and their labels (`cate_hf.benchmarks.nasbench301.labels`);
- `surrogate.onnx` with `surrogate_encoding.json` beside it (`cate_hf.benchmarks.nasbench301.onnx_surrogate`);
- a folder of the official ensembles (`cate_hf.benchmarks.nasbench301._ensembles`): of a release, or one of them.

What was checked of the last: the vectors that the models read, against ConfigSpace 0.4.12 on 10,000 genotypes;
predictions, against the official code with boosters that XGBoost 1.0 to 1.3 and LightGBM 2.3 and 3.0 trained and
pickled, against XGBoost 0.90 and 3.2 and LightGBM 4 themselves, and against the official graph network with random
weights. The released files themselves were not at hand.

A pickle that cannot be read without running it is refused, and the error names the way out, for files that you vouch
for: `trust_pickle=True` (`--trust-pickle`).

All numbers are predictions of models that were trained on few unusual cells; see `NasBench301.reliable_many`.
"""

from cate_hf.benchmarks.nasbench301._base import NasBench301

BENCHMARK = NasBench301
