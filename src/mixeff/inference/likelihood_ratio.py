"""Likelihood-ratio tests of fitted models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixeff.errors import ComparisonWarning
from mixeff.frames.notices import notify
from mixeff.inference.boundary_null import boundary_of, boundary_test
from mixeff.inference.compared import named_models, of_one_likelihood
from mixeff.inference.nesting import check_same_data, dispersion_at_end, nesting_notes
from mixeff.model.criteria import akaike, schwarz
from mixeff.model.names import calling_frame
from mixeff.model.options import check_switch

if TYPE_CHECKING:
    import pandas as pd

    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]
COLUMNS = ("npar", "aic", "bic", "loglik", "deviance", "chisq", "df", "p_value")
BOUNDARY = (
    "The chi-square of p_value is not the right one where a null (the row above) puts a variance "
    "at zero, on the boundary; there p_boundary is the tail of the mixture named."
)
REFITTED = "refitting model(s) with ML (instead of REML)"


@dataclass(frozen=True, slots=True)
class LikelihoodRatioTable:
    """Likelihood-ratio tests, each model against the one above it; prints as lme4's ``anova``.

    Attributes
    ----------
    names : tuple of str, row labels, models in increasing order of ``npar``
    formulas : tuple of str, their formulas
    data_name : str
    npar : (m,) int array, estimated parameters
    aic, bic, loglik, deviance : (m,) float arrays; deviance is -2 log L
    chisq : (m,) array, twice the gain in log-likelihood over the row above (NaN in the first row)
    df : (m,) array, parameters more than in the row above (NaN in the first row)
    p_value : (m,) array, upper tail of chi-square with ``df``; NaN where df is 0
    notes : tuple of str, what was done and what limits the tests
    p_boundary : (m,) array or None
        Upper tail of the right mixture of chi-squares, in the rows whose null (the row above) puts
        a variance on its boundary; None where there is no such row.
    mixtures : tuple of str, the mixture of each row in words; empty without ``p_boundary``
    """

    names: tuple[str, ...]
    formulas: tuple[str, ...]
    data_name: str
    npar: NDArray[np.int64]
    aic: Floats
    bic: Floats
    loglik: Floats
    deviance: Floats
    chisq: Floats
    df: Floats
    p_value: Floats
    notes: tuple[str, ...] = ()
    p_boundary: Floats | None = None
    mixtures: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Columns ``npar, aic, bic, loglik, deviance, chisq, df, p_value``; models in the index.

        Behind them ``p_boundary``, if a null lies on the boundary.
        """
        import pandas as pd

        shown = COLUMNS if self.p_boundary is None else (*COLUMNS, "p_boundary")
        return pd.DataFrame({c: getattr(self, c) for c in shown}, index=list(self.names))

    def __str__(self) -> str:
        from mixeff.report.tables import format_anova

        return format_anova(self)

    def _repr_html_(self) -> str:
        from mixeff.report.html import anova_html

        return anova_html(self)

    def __repr__(self) -> str:
        return str(self)


def likelihood_ratio_table(
    *,
    names: Sequence[str],
    formulas: Sequence[str],
    npar: ArrayLike,
    loglik: ArrayLike,
    nobs: int,
    data_name: str = "data",
    notes: Sequence[str] = (),
) -> LikelihoodRatioTable:
    """The table from the models' log-likelihoods and parameter counts.

    Rows are sorted by ``npar``, ties as given. A gain below zero counts as zero, and rows that add
    no parameter have no p value.

    Parameters
    ----------
    names, formulas : sequences of m strings
    npar : (m,) integers
    loglik : (m,) floats
    nobs : int, number of observations, the same for all models

    Returns
    -------
    LikelihoodRatioTable
    """
    order = np.argsort(np.asarray(npar), kind="stable")
    count = np.asarray(npar, dtype=np.int64)[order]
    value = np.asarray(loglik, dtype=np.float64)[order]
    chisq = np.concatenate([[np.nan], np.maximum(0.0, 2.0 * np.diff(value))])
    df = np.concatenate([[np.nan], np.diff(count).astype(np.float64)])
    pairs = list(zip(value.tolist(), count.tolist(), strict=True))
    return LikelihoodRatioTable(
        names=tuple(names[i] for i in order),
        formulas=tuple(formulas[i] for i in order),
        data_name=data_name,
        npar=count,
        aic=np.array([akaike(v, k) for v, k in pairs]),
        bic=np.array([schwarz(v, k, nobs) for v, k in pairs]),
        loglik=value,
        deviance=-2.0 * value,
        chisq=chisq,
        df=df,
        p_value=upper_tail(chisq, df),
        notes=tuple(notes),
    )


def upper_tail(chisq: Floats, df: Floats) -> Floats:
    """P(chi-square with df > chisq), NaN where there is no test (df NaN or 0)."""
    from scipy.special import chdtrc

    p = np.full(chisq.shape, np.nan)
    tested = df > 0
    p[tested] = chdtrc(df[tested], chisq[tested])
    return p


def anova(*models: MixedModel, refit: bool = True, **named: MixedModel) -> LikelihoodRatioTable:
    """Likelihood-ratio tests of two or more nested models.

    Models are sorted by their number of parameters and each is compared with the one before it.

    Parameters
    ----------
    *models : fitted models
        Rows are named by the caller's variables where they can be known, else ``model1`` ...
    refit : bool
        Refit REML fits by maximum likelihood first (REML criteria of models with different fixed
        effects are not comparable). ``False`` compares the fits as they are.
    **named : fitted models
        ``mx.anova(small=m0, large=m1)`` names the rows.

    Returns
    -------
    LikelihoodRatioTable
        ``.to_frame()`` has the columns ``npar, aic, bic, loglik, deviance, chisq, df, p_value``,
        and ``p_boundary`` behind them where a null puts a variance on the boundary.

    Raises
    ------
    ComparisonError
        Fewer than two models, different rows or responses, or REML and ML fits mixed with
        ``refit=False``.

    Warns
    -----
    ComparisonWarning
        Two models compared are not nested, or are REML fits with different fixed effects: the
        table is made, but its chi-square is not one.

    Notes
    -----
    Twice the gain in log-likelihood is asymptotically chi-square only if the smaller model lies in
    the interior of the larger one. A variance of zero lies on the boundary, so ``p_value`` (R's) is
    too large for an added random term; ``p_boundary`` is the tail of the mixture of chi-squares
    that holds there (Self and Liang, 1987; Stram and Lee, 1994), named under the table: half
    chi-square(q) and half chi-square(q + 1) for one random effect with q covariances, weights from
    the information about the variances where several are zero (``mixeff.inference.boundary``).
    For fixed effects in small samples the p value is too small instead (Pinheiro and Bates, 2000,
    section 2.4). What counts as nested is written in ``mixeff.inference.nesting``.

    Examples
    --------
    >>> import mixeff as mx
    >>> sleep = mx.load_dataset("sleepstudy")
    >>> m0 = mx.lmer("Reaction ~ 1 + (1 | Subject)", sleep, reml=False)
    >>> m1 = mx.lmer("Reaction ~ Days + (1 | Subject)", sleep, reml=False)
    >>> mx.anova(m0, m1).to_frame()[["npar", "chisq", "df"]].round(2)
        npar   chisq   df
    m0     3     NaN  NaN
    m1     4  116.46  1.0
    """
    check_switch("anova", "refit", refit)
    compared = named_models(models, named, calling_frame(), minimum=2, options=("refit",))
    check_same_data(compared)
    by_size = dict(sorted(compared.items(), key=lambda item: item[1].df))
    fits, refitted = of_one_likelihood(list(by_size.values()), refit, "anova")
    names = tuple(by_size)
    limits = _limits(names, fits)
    sentences = [sentence for pair in limits for sentence in pair]
    for sentence in sentences:
        notify(sentence, ComparisonWarning)
    table = likelihood_ratio_table(
        names=names,
        formulas=[m.formula_display for m in fits],
        npar=[m.df for m in fits],
        loglik=[m.loglik for m in fits],
        nobs=fits[0].nobs,
        data_name=fits[0].data_name,
        notes=[REFITTED, *sentences] if refitted else sentences,
    )
    return _with_boundary(table, fits, [not pair for pair in limits])


def _limits(names: Sequence[str], models: Sequence[Any]) -> list[list[str]]:
    """For every neighbouring pair the sentences why its chi-square is not one."""
    return [
        nesting_notes((names[i - 1], models[i - 1]), (names[i], models[i]))
        for i in range(1, len(models))
    ]


def _with_boundary(
    table: LikelihoodRatioTable, models: Sequence[Any], nested: Sequence[bool]
) -> LikelihoodRatioTable:
    """The table with p values of mixtures, in the rows whose null lies on the boundary."""
    p, words, found = np.full(len(models), np.nan), [""] * len(models), False
    for i in range(1, len(models)):
        small, large, added = models[i - 1], models[i], int(table.df[i])
        if not nested[i - 1] or added <= 0:
            continue
        boundary = boundary_of(
            small.design,
            small.estimate.Lambda,
            large,
            added,
            dispersion=dispersion_at_end(small, large),
        )
        if boundary is None:
            continue
        found = True
        p[i], mixture = boundary_test(boundary, float(table.chisq[i]))
        words[i] = f"not available: {boundary.reason}" if mixture is None else mixture.words
        if small.is_singular:
            words[i] += f" (supposes positive variances in {table.names[i - 1]}, which is singular)"
    if not found:
        return table
    rows = zip(table.names, p.tolist(), words, strict=True)
    notes = [f"p_boundary of {name}: {value:.4g}, {w}." for name, value, w in rows if w]
    return replace(
        table, p_boundary=p, mixtures=tuple(words), notes=(*table.notes, BOUNDARY, *notes)
    )
