"""What becomes of the replicates, one by one: values, failures and what was said about them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


@dataclass(frozen=True, slots=True)
class Tally:
    """Replicates as they come in.

    Attributes
    ----------
    values : (m, k) array, NaN where a replicate failed
    failed, singular, unconverged : (m,) boolean arrays
    messages : sentence -> how many replicates it was said of; sentences that differ in their
        numbers only are counted under the first of them
    """

    values: Floats
    failed: Flags
    singular: Flags
    unconverged: Flags
    messages: dict[str, int] = field(default_factory=dict)
    _known: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_size(cls, m: int, k: int) -> Tally:
        """No replicate yet."""
        failed, singular, unconverged = (np.zeros(m, dtype=np.bool_) for _ in range(3))
        return cls(np.full((m, k), np.nan), failed, singular, unconverged)

    def say(self, sentence: str, times: int = 1) -> None:
        """Count a sentence."""
        first = self._known.setdefault(_NUMBER.sub("#", sentence), sentence)
        self.messages[first] = self.messages.get(first, 0) + times

    def fail(self, at: int, error: Exception) -> None:
        """A replicate without values."""
        self.failed[at] = True
        self.say(str(error))


def outcome_notes(
    failed: Flags, unconverged: Flags, singular: Flags, messages: Mapping[str, int]
) -> list[str]:
    """Sentences for the reader of what was made from m replicates."""
    told = (
        (failed, "failed and are left out."),
        (unconverged, "are kept although their optimality conditions do not hold."),
        (singular, "are singular fits (kept)."),
    )
    notes = [
        f"{int(flags.sum())} of {flags.size} replicates {words}"
        for flags, words in told
        if flags.any()
    ]
    for sentence, times in sorted(messages.items(), key=lambda item: -item[1])[:3]:
        notes.append(f"{times} x: {' '.join(sentence.split())}")
    return notes
