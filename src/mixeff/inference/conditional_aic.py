"""The conditional AIC: how well a fit predicts new observations of the same groups.

    cAIC = -2 log f(y | b at its modes) + 2 (effective degrees of freedom + dispersion) ,

where the marginal AIC judges the prediction of new groups. The effective degrees of freedom of a
linear model are sum_i d yhat_i / d y_i with the variances estimated (Greven and Kneib 2010,
``linear/effective.py``); taken as known they are the trace of the hat matrix (Vaida and Blanchard
2005), and the cAIC then prefers the larger random part too often. Of a generalized model there are
the trace of its working model, and for Poisson and 0-1 responses the unbiased sums over refits

    sum_i y_i (eta_i(y) - eta_i(y - e_i)),     sum_i mu_i (1 - mu_i) (eta_i(1) - eta_i(0))

(Saefken et al. 2014).
"""

from __future__ import annotations

import math
import textwrap
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import ConvergenceWarning, MixeffError, OptionError
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.inference.table import ResultTable
from mixeff.linear.effective import effective_degrees
from mixeff.linear.working import working_model
from mixeff.model.again import refit
from mixeff.model.options import choose

if TYPE_CHECKING:
    from mixeff.linear.estimate import LinearEstimate
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]

ESTIMATED, KNOWN = "estimated", "known"


@dataclass(frozen=True, slots=True)
class ConditionalAIC:
    """The conditional AIC of one fit.

    Attributes
    ----------
    caic : float
    loglik : float, log-likelihood given the random effects at their modes
    effective_df : float, effective degrees of freedom of the mean
    dispersion : int, 1 where a residual variance or dispersion is estimated, else 0
    notes : tuple of str, how the degrees of freedom were counted
    """

    caic: float
    loglik: float
    effective_df: float
    dispersion: int
    notes: tuple[str, ...]

    def __str__(self) -> str:
        extra = f" + {self.dispersion} for the dispersion" if self.dispersion else ""
        return "\n".join(
            [
                f"Conditional AIC: {self.caic:.2f}",
                f"Conditional log-likelihood: {self.loglik:.3f}",
                f"Effective degrees of freedom: {self.effective_df:.3f}{extra}",
                *(textwrap.fill(note, 79) for note in self.notes),
            ]
        )

    def __repr__(self) -> str:
        return str(self)


def conditional_aic(fit: MixedModel, variances: str | None = None) -> ConditionalAIC:
    """See ``LinearMixedModel.conditional_aic``."""
    generalized = isinstance(fit.estimate, GeneralizedEstimate)
    if variances is None:
        variances = KNOWN if generalized else ESTIMATED
    variances = choose("conditional_aic", "variances", variances, (ESTIMATED, KNOWN))
    if generalized:
        return _generalized(fit, variances)
    return _linear(fit, variances)


def caic_table(models: dict[str, MixedModel], variances: str | None = None) -> ResultTable:
    """Conditional AIC of several models, in the order given."""
    found = [conditional_aic(m, variances) for m in models.values()]
    notes = dict.fromkeys(note for one in found for note in one.notes)
    return ResultTable(
        title="Conditional AIC",
        index=tuple(models),
        columns={
            "effective_df": np.array([one.effective_df for one in found]),
            "loglik": np.array([one.loglik for one in found]),
            "caic": np.array([one.caic for one in found]),
        },
        notes=(
            "Prediction of new observations of the same groups; loglik is conditional on the "
            "random effects.",
            *notes,
        ),
    )


def _of(loglik: float, df: float, dispersion: int, *notes: str) -> ConditionalAIC:
    caic = -2.0 * loglik + 2.0 * (df + dispersion)
    return ConditionalAIC(caic, loglik, df, dispersion, tuple(notes))


def _linear(fit: MixedModel, variances: str) -> ConditionalAIC:
    estimate: LinearEstimate = fit.estimate  # type: ignore[assignment]
    prepared = estimate.prepared or working_model(fit.design).prepared
    degrees = effective_degrees(prepared, estimate)
    loglik = _normal_loglik(fit)
    if variances == KNOWN:
        note = (
            "Degrees of freedom: trace of the hat matrix (Vaida and Blanchard 2005); "
            "that the variances are estimated is left out, which favours larger random parts."
        )
        return _of(loglik, degrees.known, 1, note)
    note = (
        "Degrees of freedom: sum of d fitted / d y, the estimation of the variances "
        "included (Greven and Kneib 2010)."
    )
    notes = [note]
    if fit.is_singular:
        notes.append("Random effects without variance take no part.")
    if not degrees.exact:
        notes.append(
            "The Hessian of the variance parameters is the average information: exact traces "
            "would take too long for so many crossed levels."
        )
    return _of(loglik, degrees.estimated, 1, *notes)


def _normal_loglik(fit: MixedModel) -> float:
    """Of the responses given the random effects at their modes."""
    from mixeff.model.linear_predictor import fitted_values

    design, n = fit.design, fit.nobs
    residuals = design.response - fitted_values(design, fit.estimate)
    w = design.weights
    squares = float(residuals @ (residuals if w is None else w * residuals))
    logs = 0.0 if w is None else float(np.log(w).sum())
    sigma2 = fit.sigma**2
    return -0.5 * (n * math.log(2.0 * math.pi * sigma2) - logs + squares / sigma2)


def _generalized(fit: MixedModel, variances: str) -> ConditionalAIC:
    from mixeff.generalized.effective import hat_trace
    from mixeff.generalized.observations import Observations

    estimate: Any = fit.estimate
    family, design = estimate.family, fit.design
    observations = Observations.of(family, design.response, design.weights)
    dispersion = 1.0 if estimate.dispersion is None else estimate.dispersion
    loglik = float(observations.terms(estimate.linear_predictor, dispersion).loglik.sum())
    counted = int(estimate.dispersion is not None and _dispersion_estimated(fit))
    if variances == ESTIMATED:
        df, failed = _by_refits(fit)
        notes = [
            "Degrees of freedom from a refit for every observation, the estimation of "
            "the variances included (Saefken et al. 2014)."
        ]
        if failed:
            notes.append(f"{failed} of the refits failed and are left out of the sum.")
        return _of(loglik, df, counted, *notes)
    df = hat_trace(design, family, estimate, fit.request.control)
    note = (
        "Degrees of freedom: trace of the hat matrix of the working model; that the "
        "variances are estimated is left out, which favours larger random parts."
    )
    if _refits_known(fit):
        note += ' variances="estimated" counts it, by a refit for every observation.'
    return _of(loglik, df, counted, note)


def _dispersion_estimated(fit: MixedModel) -> bool:
    return getattr(fit.request.family, "shape", None) is None


def _refits_known(fit: MixedModel) -> bool:
    """Poisson with log link, or 0-1 responses with logit link."""
    link, weights = getattr(fit, "link", ""), fit.design.weights
    single = weights is None or bool(np.all(weights == 1.0))
    return single and (fit.family, link) in (("poisson", "log"), ("binomial", "logit"))


def _by_refits(fit: MixedModel) -> tuple[float, int]:
    """The unbiased count, and how many refits failed."""
    if not _refits_known(fit):
        raise OptionError(
            'conditional_aic: variances="estimated" is known for Poisson models with log link and '
            f"for responses of 0 and 1 with logit link, not for this {fit.family} model. Take "
            'variances="known".'
        )
    y, estimate = fit.design.response, fit.estimate
    assert isinstance(estimate, GeneralizedEstimate)
    eta = estimate.linear_predictor
    if fit.family == "poisson":
        changed, weight = y - 1.0, y
    else:
        mu = estimate.family.link.mu(eta)
        # eta(1) - eta(0) is eta less the one of the changed response where y is 1, else minus that.
        changed, weight = 1.0 - y, mu * (1.0 - mu) * (2.0 * y - 1.0)
    total, failed = 0.0, 0
    for i in np.flatnonzero(weight).tolist():
        other = y.copy()
        other[i] = changed[i]
        moved = _eta_of(fit, other, i)
        if moved is None:
            failed += 1
            continue
        total += float(weight[i] * (eta[i] - moved))
    return total, failed


def _eta_of(fit: MixedModel, y: Floats, row: int) -> float | None:
    """Linear predictor of one row when the model is fitted to ``y``; None if it cannot be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            other = refit(fit, y)
        except MixeffError:
            return None
    assert isinstance(other.estimate, GeneralizedEstimate)
    return float(other.estimate.linear_predictor[row])
