"""The verb: formula and data to a fitted linear mixed model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mixeff.control import Control
from mixeff.errors import OptionError
from mixeff.model.fit import LinearMixedModel
from mixeff.model.fitting import LMER_ARGUMENTS, fit_design, prepare
from mixeff.model.names import calling_frame, data_name
from mixeff.model.options import MISSING, refuse_unknown, require


def lmer(
    formula: str = MISSING,
    data: Any = MISSING,
    *,
    reml: bool = True,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    na_action: str = "omit",
    start: Any = None,
    control: Control | None = None,
    **unknown: Any,
) -> LinearMixedModel:
    """Fit a linear mixed model.

    Parameters
    ----------
    formula : str
        R's formula with lme4's random terms: ``"lang ~ IQ + SES + (IQ | class)"``.
    data : data frame
        pandas, polars, pyarrow, any Arrow stream, or a dict of arrays. Only the columns the
        formula names are read.
    reml : bool
        Restricted maximum likelihood (default) or maximum likelihood.
    weights : str, array or None
        Prior weights w: the residual variance of a row is sigma^2 / w. A column name, an
        expression of columns, or an array with one entry per row of the data.
    offset : str, array or None
        Known part of the linear predictor, given likewise.
    contrasts : mapping or None
        Coding of factors: ``{"COMB": "sum"}``; ``treatment, sum, helmert, poly, difference`` or a
        matrix.
    na_action : {"omit", "exclude", "fail"}
        Leave out rows with missing values; or leave out but give NaN for them in fitted values
        and residuals; or raise.
    start : array or None
        Starting theta.
    control : Control or None
        Tolerances, ``||`` semantics, threads.

    Returns
    -------
    LinearMixedModel

    Raises
    ------
    FormulaError, DataError, DesignError, OptionError
        With what is wrong, where, and what to do.

    Warns
    -----
    ConvergenceWarning
        The optimality conditions do not hold at the point returned.

    References
    ----------
    Bates, D., Maechler, M., Bolker, B., Walker, S. (2015). Fitting linear mixed-effects models
    using lme4. Journal of Statistical Software 67(1).

    Examples
    --------
    >>> import mixeff as mx
    >>> schools = mx.load_dataset("nlschools")
    >>> m1 = mx.lmer("lang ~ IQ + GS + SES + COMB + (1 | class)", schools)
    >>> round(m1.reml_criterion, 1)
    15132.9
    """
    if "family" in unknown:
        raise OptionError(
            "lmer fits normally distributed responses and takes no family. "
            "Other families are what glmer is for: mx.glmer(formula, data, family)."
        )
    refuse_unknown("lmer", unknown, LMER_ARGUMENTS)
    require("lmer", formula=formula, data=data)
    request, design = prepare(
        formula=formula,
        data=data,
        data_name=data_name(data, calling_frame()),
        reml=reml,
        weights=weights,
        offset=offset,
        contrasts=contrasts,
        na_action=na_action,
        start=start,
        control=control,
    )
    return fit_design(request, design)
