"""NAS-Bench-301 (Siems et al., ICLR 2022): accuracies and runtimes of DARTS networks as surrogate models predict them.

`load_benchmark("nasbench301", path=...)` takes any of three, and its repr says which it is:

- the labels table, a Parquet file of genotypes and their labels (`cate_hf.benchmarks.nasbench301._labels`);
- `surrogate.onnx` with `surrogate_encoding.json` beside it (`cate_hf.benchmarks.nasbench301._onnx_surrogate`);
- a folder of the official ensembles of XGBoost and LightGBM (`cate_hf.benchmarks.nasbench301._ensembles`): a release,
  or one of its ensembles.

What was checked of the last: the vectors that the models read, against ConfigSpace 0.4.12 on 10,000 genotypes;
predictions, against XGBoost 3.2 and LightGBM 4.7 themselves, and against made-up files in the binary form of XGBoost
0.90 to 1.2. The released files themselves were not at hand.

A pickle that cannot be read without running it is refused, and the error names the way out, for files that you vouch
for: `trust_pickle=True` (`--trust-pickle`).

All numbers are predictions of models that were trained on few unusual cells; see `NasBench301.reliable_many`.
"""

import os
from pathlib import Path

from cate_hf.benchmarks.nasbench301._base import NasBench301
from cate_hf.benchmarks.nasbench301._ensembles import MODEL_FILE, Ensembles
from cate_hf.benchmarks.nasbench301._labels import Labels
from cate_hf.benchmarks.nasbench301._onnx_surrogate import Onnx

__all__ = ["BENCHMARK"]


class NasBench301Files(NasBench301):
    """What `load_benchmark("nasbench301", path)` opens."""

    @classmethod
    def open(
        cls,
        path: str | os.PathLike,
        accuracy_model: str | None = None,
        noise_seed: int | None = None,
        trust_pickle: bool = False,
    ) -> NasBench301:
        """The benchmark that a file or folder holds.

        Args:
            path: labels in Parquet, an .onnx surrogate, or a folder of ensembles.
            accuracy_model: which ensemble of a release predicts accuracies, "xgb" where there is one.
            noise_seed: add to an ensemble's mean normal noise of its members' spread, as the official interface does;
                an architecture gets the same noise whenever it is asked for. None: no noise.
            trust_pickle: unpickle the members of an ensemble, which can run any code that is in them, instead of
                reading their trees. Only for files that you vouch for.

        Raises:
            ValueError: there is no such file, or it is none of these; one line that names it.
        """
        path = Path(path)
        if path.is_dir():
            return Ensembles(path, accuracy_model, noise_seed, trust_pickle)
        if not path.is_file():
            raise ValueError(
                f"{path}: no such file or folder; expected labels, surrogate.onnx or a folder of ensembles"
            )
        if accuracy_model is not None or noise_seed is not None:
            raise ValueError(f"{path}: accuracy_model and noise_seed are for a folder of ensembles")
        if path.suffix == ".onnx":
            return Onnx(path)
        try:
            with open(path, "rb") as file:
                start = file.read(4)
        except OSError as error:
            raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
        if path.suffix in (".parquet", ".pq") or start == b"PAR1":
            return Labels(path)
        if path.name == MODEL_FILE:
            raise ValueError(f"{path}: a member of an ensemble; give the folder of the ensemble")
        raise ValueError(
            f"{path}: not a file of NAS-Bench-301: expected labels in Parquet, an .onnx surrogate or a folder of "
            "ensembles"
        )


BENCHMARK = NasBench301Files
