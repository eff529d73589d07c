"""Tables that compare several models by an information criterion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.inference.compared import named_models, of_one_likelihood
from mixeff.inference.conditional_aic import ESTIMATED, KNOWN, caic_table, conditional_aic
from mixeff.inference.nesting import check_same_data
from mixeff.inference.table import ResultTable
from mixeff.model.names import calling_frame
from mixeff.model.options import check_switch, choose

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]

CRITERIA = {
    "aicc": "AIC with the small-sample correction of Hurvich and Tsai",
    "aic": "AIC",
    "bic": "BIC",
    "caic": "conditional AIC",
}


REFITTED = "REML fits are refitted by maximum likelihood."
RESTRICTED = (
    "REML likelihoods: comparable only among models with the same fixed effects, coded alike."
)


def caic(*models: MixedModel, variances: str | None = None, **named: MixedModel) -> ResultTable:
    """Compare models by the conditional AIC.

    Parameters
    ----------
    *models : fitted models of the same data
        Rows are named by the caller's variables where they can be known, else ``model1`` ...
    variances : {None, "estimated", "known"}
        As for ``m.conditional_aic()``.
    **named : fitted models
        ``mx.caic(small=m0, large=m1)`` names the rows.

    Returns
    -------
    ResultTable
        Columns ``effective_df, loglik, caic``; ``loglik`` is conditional on the random effects.

    Raises
    ------
    ComparisonError
        The models are not fitted to the same responses.

    References
    ----------
    Greven, S. and Kneib, T. (2010). On the behaviour of marginal and conditional AIC in linear
    mixed models. Biometrika 97, 773-789.

    Examples
    --------
    >>> import mixeff as mx
    >>> sleep = mx.load_dataset("sleepstudy")
    >>> m1 = mx.lmer("Reaction ~ Days + (1 | Subject)", sleep)
    >>> m2 = mx.lmer("Reaction ~ Days + (Days | Subject)", sleep)
    >>> mx.caic(m1, m2).to_frame().round(2)
        effective_df  loglik     caic
    m1         18.02 -864.53  1767.10
    m2         30.25 -824.51  1711.52
    """
    if variances is not None:
        variances = choose("caic", "variances", variances, (ESTIMATED, KNOWN))
    compared = named_models(models, named, calling_frame(), minimum=1, options=("variances",))
    check_same_data(compared)
    return caic_table(compared, variances)


def compare_models(
    *models: MixedModel, criterion: str = "aicc", refit: bool = True, **named: MixedModel
) -> ResultTable:
    """Rank models by an information criterion, with Akaike weights.

    Parameters
    ----------
    *models : fitted models of the same data
        Rows are named by the caller's variables where they can be known, else ``model1`` ...
    criterion : {"aicc", "aic", "bic", "caic"}
        ``"caic"`` is the conditional AIC of ``mx.caic``.
    refit : bool
        Refit REML fits by maximum likelihood first, since REML criteria of models with different
        fixed effects are not comparable (the conditional AIC is, and nothing is refitted for it).
    **named : fitted models
        ``mx.compare_models(small=m0, large=m1)`` names the rows.

    Returns
    -------
    ResultTable
        Best model first; columns ``npar`` (``effective_df`` for ``"caic"``), ``loglik``, the
        criterion by its name, ``delta`` (difference to the best) and ``weight``,
        exp(-delta / 2) over the sum of all (Burnham and Anderson 2002).

    Raises
    ------
    ComparisonError
        The models are not fitted to the same responses, or REML and ML fits are mixed with
        ``refit=False``.

    Notes
    -----
    The models need not be nested. A weight is the probability of a model only in the sense of the
    criterion, and among the models in the table.

    Examples
    --------
    >>> import mixeff as mx
    >>> sleep = mx.load_dataset("sleepstudy")
    >>> m1 = mx.lmer("Reaction ~ Days + (1 | Subject)", sleep)
    >>> m2 = mx.lmer("Reaction ~ Days + (Days | Subject)", sleep)
    >>> m3 = mx.lmer("Reaction ~ Days + (Days || Subject)", sleep)
    >>> mx.compare_models(m1, m2, m3, criterion="aic").to_frame().round(2)
        npar  loglik      aic  delta  weight
    m3     5 -876.00  1762.00   0.00    0.72
    m2     6 -875.97  1763.94   1.94    0.28
    m1     4 -897.04  1802.08  40.08    0.00
    """
    criterion = choose("compare_models", "criterion", criterion, tuple(CRITERIA))
    check_switch("compare_models", "refit", refit)
    compared = named_models(
        models, named, calling_frame(), minimum=2, options=("criterion", "refit")
    )
    check_same_data(compared)
    if criterion == "caic":
        found = [conditional_aic(m) for m in compared.values()]
        first = {
            "effective_df": np.array([one.effective_df for one in found]),
            "loglik": np.array([one.loglik for one in found]),
        }
        values = np.array([one.caic for one in found])
        return _ranked(compared, criterion, first, values, found[0].notes)
    fits, refitted = of_one_likelihood(list(compared.values()), refit, "compare_models")
    notes = (REFITTED,) if refitted else (RESTRICTED,) if fits[0].is_reml else ()
    first = {
        "npar": np.array([m.df for m in fits]),
        "loglik": np.array([m.loglik for m in fits]),
    }
    values = np.array([float(getattr(m, criterion)) for m in fits])
    return _ranked(compared, criterion, first, values, notes)


def _ranked(
    models: Mapping[str, Any],
    criterion: str,
    first: Mapping[str, NDArray[Any]],
    values: Floats,
    notes: tuple[str, ...],
) -> ResultTable:
    """The table, best model first."""
    order = np.argsort(values, kind="stable")
    best = values[order[0]]
    # Infinite where AICc has no value: no weight, and no difference to tell.
    delta = np.full(values.size, np.nan) if not np.isfinite(best) else values - best
    relative = np.exp(-0.5 * delta)
    columns: dict[str, NDArray[Any]] = {name: column[order] for name, column in first.items()}
    columns[criterion] = values[order]
    columns["delta"] = delta[order]
    columns["weight"] = (relative / np.nansum(relative))[order]
    names = list(models)
    return ResultTable(
        title=f"Models by {CRITERIA[criterion]}",
        index=tuple(names[i] for i in order),
        columns=columns,
        notes=(
            "delta: difference to the best model; weight: exp(-delta/2) over the sum of all, the "
            "support among these models only.",
            *notes,
        ),
    )
