"""Random search: candidates in a random order."""

from cate_hf.search.base import Optimizer


class RandomSearch(Optimizer):
    """Each ask draws uniformly from what was not seen. No settings."""

    name = "random"

    def _propose(self, n: int) -> list[int]:
        return self._draw_unseen(n)
