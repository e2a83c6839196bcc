"""Random draws that keep to what is planted.

Times are days since the first midnight, local.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
Indices: TypeAlias = NDArray[np.int64]

HAND = 10


@dataclass(frozen=True)
class Draws:
    """Shares are dealt in shuffled hands of `HAND`, so that they hold in every quarter."""

    rng: np.random.Generator

    def cards(self, hands: int) -> Indices:
        """0 to HAND - 1 in each row, shuffled."""
        return self.rng.permuted(np.tile(np.arange(HAND), (hands, 1)), axis=1)

    def parts(self, at: Floats, stratum: ArrayLike = 0) -> Floats:
        """Numbers in (0, 1): of each stratum in order of time, one in each `HAND`th part."""
        hands = -(-len(at) // HAND)
        numbers = (self.cards(hands) + self.rng.random((hands, HAND))) / HAND
        parts = np.empty(len(at))
        parts[np.lexsort((at, np.broadcast_to(stratum, at.shape)))] = numbers.ravel()[: len(at)]
        return parts

    def deal(self, share: float, size: int) -> Flags:
        """So many flags, of which `share` are true."""
        hands = -(-size // HAND)
        dealt = np.floor(np.arange(hands + 1) * HAND * share + self.rng.random())
        flags: Flags = (self.cards(hands) < np.diff(dealt)[:, None]).ravel()[:size]
        return flags

    def decide(self, at: Floats, share: ArrayLike, stratum: ArrayLike = 0) -> Flags:
        """For each time whether it happens: within each share and stratum, dealt in order."""
        shares, strata = np.broadcast_arrays(share, stratum, at)[:2]
        keys = np.column_stack([shares, strata])
        decided = np.zeros(len(at), dtype=bool)
        order = np.argsort(at, kind="stable")
        for key in np.unique(keys, axis=0):
            members = order[(keys[order] == key).all(axis=1)]
            decided[members] = self.deal(float(key[0]), len(members))
        return decided

    def wait(
        self,
        at: Floats,
        median: ArrayLike,
        leaving: ArrayLike = 1.0,
        longest: float = 24.0,
        stratum: ArrayLike = 0,
    ) -> Floats:
        """Log-logistic days until those leave who ever do, a share `leaving` of all.

        By the median half of *all* have left.
        """
        level = np.minimum(0.5 / np.asarray(leaving), 0.9)
        part = self.parts(at, stratum)
        odds = part / (1 - part) * (1 - level) / level
        days: Floats = np.clip(np.asarray(median) * np.cbrt(odds), 0.003, longest)
        return days

    def kinds(self, at: Floats, shares: Mapping[str, float]) -> NDArray[np.str_]:
        """A value for each time, in the given shares."""
        ends = np.cumsum(list(shares.values()))
        kinds = np.searchsorted(ends / ends[-1], self.parts(at), side="right")
        return np.array(list(shares))[kinds]

    def some(self, at: Floats, share: float) -> Indices:
        """Positions of a share of the times."""
        return np.flatnonzero(self.decide(at, share))

    def pick(self, options: Sequence[str]) -> str:
        """One of them, each as likely."""
        return options[int(self.rng.integers(len(options)))]
