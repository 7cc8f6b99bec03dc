"""Time of `import cate_hf` beside `import transformers`, and of `cate --help`, each in fresh processes.

Usage: python bench/import_time.py
"""

import statistics
import subprocess
import sys
import time

REPEATS = 7


def seconds(*arguments: str) -> float:
    """Median wall time of a fresh process, its start included."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    empty = seconds("-c", "pass")
    cases = {
        "import transformers": "import transformers",
        "import cate_hf": "import cate_hf",
        "import transformers, then cate_hf": "import transformers, cate_hf",
        "AutoModel of transformers": "from transformers import AutoModel",
        "the same, and PreTrainedModel": "from transformers import AutoModel, AutoTokenizer, PreTrainedModel",
        "AutoModel after import cate_hf, registered": "import cate_hf; from transformers import AutoModel",
    }
    times = {name: seconds("-c", code) for name, code in cases.items()}
    times["cate --help"] = seconds("-m", "cate_hf.cli", "--help")
    print(f"{'an empty process':45} {empty:6.3f} s")
    for name, value in times.items():
        print(f"{name:45} {value:6.3f} s")
    ratio = times["import cate_hf"] / times["import transformers"]
    print(f"import cate_hf / import transformers: {ratio:.3f}")


if __name__ == "__main__":
    main()
