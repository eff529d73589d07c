"""Name the slow path before the minutes pass: what dominates, and what to do about it."""

from __future__ import annotations

import logging

from mixeff.design.design import Design
from mixeff.factor.sparse_tail import SparseTail
from mixeff.factor.tail import Tail

logger = logging.getLogger("mixeff")

# Order-of-magnitude figures, good enough to tell seconds from minutes: an ordinary core does
# 2.5e10 multiply-adds a second in large dense blocks, and a fit takes about ten evaluations.
_RATE, _EVALUATIONS, _LONG = 2.5e10, 10, 60.0


def announce_slow(design: Design, tail: Tail, columns: int) -> None:
    """Log one warning if the tail will keep the fit busy for minutes.

    The factor that is eliminated first costs little however many levels it has; what is crossed
    with it is dense, or sparse where levels meet few others. The record goes to the logger
    ``mixeff``.

    Parameters
    ----------
    design : Design
    tail : Tail
    columns : int, of the tail
    """
    seconds = _EVALUATIONS * tail.work / _RATE
    if seconds < _LONG:
        return
    sizes: dict[str, int] = {}
    for term in design.random:
        sizes[term.group] = sizes.get(term.group, 0) + term.n_levels * term.n_columns
    parts = ", ".join(f"{name} ({size:,} random effects)" for name, size in sizes.items())
    logger.warning(
        "This fit may take about %.0f minutes and %.1f GB: its crossed grouping factors leave a "
        "%s system of %s columns to be factored at each of some %d evaluations. Grouping "
        "factors: %s. Fewer random slopes on the smaller factors, or coarser factors, make it "
        "faster%s.",
        max(1.0, seconds / 60.0),
        1e-9 * tail.memory,
        "sparse, but large," if isinstance(tail, SparseTail) else "dense",
        f"{columns:,}",
        _EVALUATIONS,
        parts,
        "" if isinstance(tail, SparseTail) else "; Control(threads=...) uses more cores",
    )
