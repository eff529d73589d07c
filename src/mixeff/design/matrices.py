"""The model matrices of one design: each made once, with its moments, however many terms use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mixeff.design.fixed import LinearPlan, linear_matrix
from mixeff.design.moments import Moments
from mixeff.design.values import Value


@dataclass(frozen=True, slots=True)
class Matrices:
    """Maker of model matrices over one set of rows; terms with the same columns share an array.

    Attributes
    ----------
    values : values by variable label, factors with exactly the levels of the plans
    n_rows : int, n
    made : moments of the matrices made, by what makes them equal
    sound : moments of those found to have full column rank
    """

    values: Mapping[str, Value]
    n_rows: int
    made: dict[object, Moments] = field(default_factory=dict)
    sound: list[Moments] = field(default_factory=list)

    def of(self, plan: LinearPlan) -> Moments:
        """The matrix of a plan, as ``columns`` of its moments."""
        key = _key(plan)
        found = self.made.get(key)
        if found is None:
            found = self.made[key] = Moments.of(linear_matrix(plan, self.values, self.n_rows))
        return found

    def known_sound(self, moments: Moments) -> bool:
        """Whether the columns are already known to be linearly independent."""
        return any(one is moments for one in self.sound)


def _key(plan: LinearPlan) -> object:
    """Equal for plans that give the same numbers over the same values."""
    contrasts = tuple(
        (label, contrast.kind, id(contrast) if contrast.kind == "custom" else 0)
        for label, contrast in plan.contrasts
    )
    return plan.intercept, tuple(term.codings for term in plan.terms), contrasts
