"""The verbs: formula and data to a fitted generalized linear mixed model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mixeff.control import Control
from mixeff.model.generalized_fit import GeneralizedMixedModel
from mixeff.model.generalized_fitting import GLMER_ARGUMENTS, fit_design, prepare
from mixeff.model.names import calling_frame, data_name
from mixeff.model.options import MISSING, refuse_unknown, require

_NB_ARGUMENTS = tuple(name for name in GLMER_ARGUMENTS if name != "family")


def glmer(
    formula: str = MISSING,
    data: Any = MISSING,
    family: Any = MISSING,
    *,
    link: Any = None,
    n_agq: int = 1,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    na_action: str = "omit",
    start: Any = None,
    control: Control | None = None,
    **unknown: Any,
) -> GeneralizedMixedModel:
    """Fit a generalized linear mixed model by maximum likelihood.

    Parameters
    ----------
    formula : str
        As for `lmer`. The response of a binomial model is ``cbind(successes, failures)``, a
        proportion with the trials as ``weights``, a two-level factor or text (the first level is
        failure), a boolean, or 0 and 1.
    data : data frame
        As for `lmer`.
    family : str or Family
        ``"binomial"``, ``"poisson"``, ``"Gamma"``, ``"inverse.gaussian"``, ``"gaussian"`` (with
        another link than identity), or an object of ``mixeff.families``.
    link : str, Link or None
        ``"logit"``, ``"probit"``, ``"cloglog"``, ``"cauchit"``, ``"log"``, ``"identity"``,
        ``"inverse"``, ``"1/mu^2"``, ``"sqrt"``, or a link of one's own; None is R's default.
    n_agq : int
        0: the coefficients are estimated within the penalized least squares (fast, rough); 1:
        Laplace approximation; more: nodes of adaptive Gauss-Hermite quadrature, for one grouping
        factor with up to three random effects.
    weights : str, array or None
        Prior weights; for a binomial response given as proportions the numbers of trials.
    offset, contrasts, na_action, control
        As for `lmer`.
    start : array, dict or None
        Starting theta, or ``{"theta": ..., "beta": ...}``.

    Returns
    -------
    GeneralizedMixedModel

    Raises
    ------
    FormulaError, DataError, DesignError, OptionError
        With what is wrong, where, and what to do.

    Warns
    -----
    ConvergenceWarning
        Predictors separate the responses, a variance grows without end, or the optimality
        conditions do not hold at the point returned.

    Notes
    -----
    The log-likelihood keeps all constants, for every ``n_agq``, so that values compare. The
    Laplace approximation uses the observed information; ``Control(laplace="expected")`` is
    lme4's for links that are not canonical. A dispersion (Gamma, inverse Gaussian, Gaussian) is
    a parameter of the likelihood, estimated with the others.

    References
    ----------
    Breslow, N. E., Clayton, D. G. (1993). Approximate inference in generalized linear mixed
    models. Journal of the American Statistical Association 88, 9-25.

    Examples
    --------
    >>> import mixeff as mx
    >>> m = mx.glmer(
    ...     "cbind(incidence, size - incidence) ~ period + (1 | herd)",
    ...     mx.load_dataset("cbpp"),
    ...     family="binomial",
    ... )
    >>> round(m.loglik, 3)
    -92.026
    """
    refuse_unknown("glmer", unknown, GLMER_ARGUMENTS)
    require("glmer", formula=formula, data=data, family=family)
    request, design = prepare(
        formula=formula,
        data=data,
        data_name=data_name(data, calling_frame()),
        family=family,
        link=link,
        n_agq=n_agq,
        weights=weights,
        offset=offset,
        contrasts=contrasts,
        na_action=na_action,
        start=start,
        control=control,
    )
    return fit_design(request, design)


def glmer_nb(
    formula: str = MISSING,
    data: Any = MISSING,
    *,
    link: Any = None,
    n_agq: int = 1,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    na_action: str = "omit",
    start: Any = None,
    control: Control | None = None,
    **unknown: Any,
) -> GeneralizedMixedModel:
    """Fit a negative binomial mixed model, Var(y) = mu + mu^2 / shape, the shape estimated.

    The shape is a parameter of the likelihood like the others: standard errors take its
    uncertainty in. It is ``m.dispersion`` and stands in the family line of the summary.

    Parameters
    ----------
    formula, data, link, n_agq, weights, offset, contrasts, na_action, start, control
        As for `glmer`; the default link is the logarithm.

    Returns
    -------
    GeneralizedMixedModel

    Examples
    --------
    >>> import mixeff as mx
    >>> m = mx.glmer_nb("y ~ trt + (1 | subject)", mx.load_dataset("epil"))
    >>> m.df
    4
    """
    refuse_unknown("glmer_nb", unknown, _NB_ARGUMENTS)
    require("glmer_nb", formula=formula, data=data)
    request, design = prepare(
        formula=formula,
        data=data,
        data_name=data_name(data, calling_frame()),
        family="negative.binomial",
        link=link,
        n_agq=n_agq,
        weights=weights,
        offset=offset,
        contrasts=contrasts,
        na_action=na_action,
        start=start,
        control=control,
    )
    return fit_design(request, design)
