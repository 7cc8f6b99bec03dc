"""Random search: candidates in a random order."""

from cate_hf.search.base import Optimizer

_BATCH = 16  # of an encoding's own random architectures
_DRAWS = 10  # batches, before an unseen candidate is taken at random


class RandomSearch(Optimizer):
    """Draws candidates that were not seen.

    Drawing at random is the first of the three subroutines that depend on an encoding (White et al., "A Study on
    Encodings for Neural Architecture Search", NeurIPS 2020, section 4).

    Settings:
        sample: "candidates": each as likely as any other. "encoding": as the encoding draws (`Encoding.sample`) where
            one is given that has draws of its own, such as random edges; else uniformly, as learned encodings do.
            Where an encoding's draws lead to no unseen candidate, as in a small sample of a space, one is taken
            uniformly.
    """

    name = "random"
    defaults = {"sample": "candidates"}
    choices = {"sample": ("candidates", "encoding")}

    def _propose(self, n: int) -> list[int]:
        return self._by_encoding(n) or self._draw_unseen(n)

    def _by_encoding(self, n: int) -> list[int]:
        found: dict[int, None] = {}
        for _ in range(0 if self.encoding is None else _DRAWS):
            drawn = self.encoding.sample(max(_BATCH, n), self.rng)
            rows = self._rows_of(drawn.columns["hash"])
            rows = rows[rows >= 0]
            found.update(dict.fromkeys(rows[self._status[rows] == 0].tolist()))
            if len(found) >= n:
                break
        return list(found)[:n]
