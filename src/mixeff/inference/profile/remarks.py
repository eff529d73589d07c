"""What limits the curves of a profile and its intervals, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from mixeff.inference.profile.engine import Engine
from mixeff.inference.profile.path import Path


def remarks(engine: Engine, names: Sequence[str], furthest: float) -> tuple[str, ...]:
    """A sentence for each thing a reader should know of curves up to |zeta| = ``furthest``."""
    notes: list[str] = []
    for name in names:
        path = engine.path(name)
        if path is None:
            notes.append(
                f"{name} has no profile: one of its standard deviations is estimated as zero."
            )
        else:
            notes += _of_path(name, path, furthest)
    return tuple(notes)


def _of_path(name: str, path: Path, furthest: float) -> list[str]:
    notes = []
    if path.edge is not None and path.ceiling <= furthest:
        notes.append(
            f"{name}: |zeta| is nowhere above {path.ceiling:.3g}, that of {path.edge.name} = 0, "
            "where the correlation may be anything."
        )
    for sign, word in ((-1, "below"), (1, "above")):
        if path.lost(sign):
            end = path.track.scale.outer(path.side(sign)[-1].v)
            notes.append(
                f"{name}: no optimum of the others was found {word} {end:.4g}, where |zeta| is "
                f"{abs(path.side(sign)[-1].zeta):.3g}."
            )
    if path.failed:
        notes.append(f"{name}: at {path.failed} points no optimum of the others was reached.")
    if path.folds:
        notes.append(f"{name}: zeta is not monotone; intervals end where it is first crossed.")
    return notes
