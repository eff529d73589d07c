"""Name the slow path before the minutes pass: what dominates, and what to do about it."""

from __future__ import annotations

import logging

from mixeff.design.design import Design

logger = logging.getLogger("mixeff")

# Order-of-magnitude figures, good enough to tell seconds from minutes: factoring and inverting a
# dense system of T columns takes about T^3 multiply-adds, an ordinary core does 2.5e10 a second,
# and a fit takes about ten evaluations.
_RATE, _EVALUATIONS, _LONG = 2.5e10, 10, 60.0


def announce_slow(design: Design, columns: int) -> None:
    """Log one warning if ``columns`` dense ones will keep the fit busy for minutes.

    The factor that is eliminated first costs little however many levels it has; what is crossed
    with it is dense. The record goes to the logger ``mixeff``.
    """
    sizes: dict[str, int] = {}
    for term in design.random:
        sizes[term.group] = sizes.get(term.group, 0) + term.n_levels * term.n_columns
    seconds = _EVALUATIONS * float(columns) ** 3 / _RATE
    if seconds < _LONG:
        return
    parts = ", ".join(f"{name} ({size:,} random effects)" for name, size in sizes.items())
    logger.warning(
        "This fit may take about %.0f minutes and %.1f GB: its crossed grouping factors leave a "
        "dense system of %s columns to be factored at each of some %d evaluations. Grouping "
        "factors: %s. Fewer random slopes on the smaller factors, or coarser factors, make it "
        "faster; Control(threads=...) uses more cores.",
        max(1.0, seconds / 60.0),
        2e-9 * 8.0 * columns**2,
        f"{columns:,}",
        _EVALUATIONS,
        parts,
    )
