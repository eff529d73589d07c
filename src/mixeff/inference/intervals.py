"""Confidence intervals of all parameters, by the method the caller names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mixeff.inference.wald import wald_table
from mixeff.model.options import choose, refuse_unknown

if TYPE_CHECKING:
    import pandas as pd

    from mixeff.model.mixed import MixedModel

METHODS = ("wald", "profile", "bootstrap")
_KNOWN = ("level", "method", "parameters")
_WALD = ("ddf", "vcov")


def intervals(
    fit: MixedModel,
    level: float,
    method: str,
    parameters: str | Sequence[str] | None,
    options: Mapping[str, Any],
) -> pd.DataFrame:
    """See `FitMethods.confint`; ``options`` are the arguments that belong to one method.

    Raises
    ------
    OptionError
        Unknown method, parameter or argument; ``level`` not between 0 and 1.
    """
    choose("confint", "method", method, METHODS)
    if method == "profile":
        from mixeff.inference.profile import profile_intervals

        refuse_unknown("confint", (o for o in options if o != "progress"), (*_KNOWN, "progress"))
        return profile_intervals(fit, level, parameters, **options).to_frame()
    if method == "bootstrap":
        from mixeff.inference.bootstrap import bootstrap_intervals

        wanted = None if parameters is None else _names(fit, parameters)
        frame = bootstrap_intervals(fit, level, options)
        return frame if wanted is None else frame.loc[[n for n in wanted if n in frame.index]]
    refuse_unknown("confint", (o for o in options if o not in _WALD), (*_KNOWN, *_WALD))
    frame = wald_table(fit, level, **options).to_frame()
    return frame if parameters is None else frame.loc[_names(fit, parameters)]


def _names(fit: MixedModel, parameters: str | Sequence[str]) -> list[str]:
    """The rows asked for; an estimated shape has none but of its profile."""
    from mixeff.inference.profile.run import chosen

    return [name for name in chosen("confint", fit, parameters) if name != "shape"]
