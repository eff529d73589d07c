"""Confidence intervals of all parameters, by the method the caller names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixeff.inference.table import ResultTable
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
    from mixeff.inference.table_frame import TableFrame

    method = choose("confint", "method", method, METHODS)
    if method == "profile":
        from mixeff.inference.profile import profile_intervals

        refuse_unknown("confint", (o for o in options if o != "progress"), (*_KNOWN, "progress"))
        return TableFrame.of(profile_intervals(fit, level, parameters, **options))
    if method == "bootstrap":
        from mixeff.inference.bootstrap import bootstrap_intervals
        from mixeff.inference.profile.run import listed

        own = options.get("statistic") is not None
        wanted = None if parameters is None or own else _names(fit, parameters)
        table = bootstrap_intervals(fit, level, options)
        if own and parameters is not None:
            wanted = listed("confint", parameters, table.index)
    else:
        refuse_unknown("confint", (o for o in options if o not in _WALD), (*_KNOWN, *_WALD))
        wanted = None if parameters is None else _names(fit, parameters)
        table = wald_table(fit, level, **options)
    return TableFrame.of(table if wanted is None else _rows(table, wanted))


def _rows(table: ResultTable, wanted: Sequence[str]) -> ResultTable:
    """Some rows of a table of intervals, in the order asked for."""
    at = [table.index.index(name) for name in wanted if name in table.index]
    columns = {name: np.asarray(column)[at] for name, column in table.columns.items()}
    return replace(table, index=tuple(table.index[i] for i in at), columns=columns)


def _names(fit: MixedModel, parameters: str | Sequence[str]) -> list[str]:
    """The rows asked for; an estimated shape has none but of its profile."""
    from mixeff.inference.profile.run import chosen

    return [name for name in chosen("confint", fit, parameters) if name != "shape"]
