"""Fits of smaller designs, and the table of likelihood-ratio tests they give."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import ConvergenceWarning
from mixeff.generalized.without_random import loglik_without_random
from mixeff.inference.likelihood_ratio import upper_tail
from mixeff.linear.without_random import criterion_without_random
from mixeff.model.again import recipe

if TYPE_CHECKING:
    from mixeff.design.design import Design
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Deletion:
    """A model with something left out.

    Attributes
    ----------
    label : str, the row of the table
    design : Design of the smaller model
    npar : int, its parameters
    loglik : float
    Lambda : tuple of (q, q) arrays, its relative factors, one per random term
    singular : bool, whether one of them is singular
    trouble : str, what went wrong with the fit; empty if nothing did
    """

    label: str
    design: Design
    npar: int
    loglik: float
    Lambda: tuple[Floats, ...] = ()
    singular: bool = False
    trouble: str = ""


def fit_smaller(fit: MixedModel, design: Design, label: str) -> Deletion:
    """Estimate a smaller design by the criterion of ``fit``.

    Without random terms it is an ordinary (generalized) linear model.
    """
    request = replace(fit.request, start=None, reml=fit.is_reml)
    if not design.random:
        return _without_random(fit, design, label)
    with warnings.catch_warnings():
        # Said under the table instead, with the name of the term.
        warnings.simplefilter("ignore", ConvergenceWarning)
        smaller = recipe(fit).fit(request, design)
    trouble = ""
    if not smaller.convergence.ok:
        trouble = f"The fit without {label} did not converge: {smaller.convergence.sentence}"
    estimate = smaller.estimate
    return Deletion(
        label, design, smaller.df, smaller.loglik, estimate.Lambda, smaller.is_singular, trouble
    )


def _without_random(fit: MixedModel, design: Design, label: str) -> Deletion:
    """Coefficients and residual variance (or dispersion) only."""
    family = fit.request.family
    # The parameters of the fit that belong to neither coefficients nor covariances.
    others = fit.df - len(fit.design.names) - sum(t.n_theta for t in fit.design.random)
    npar = len(design.names) + others
    if family is None:
        reml = fit.is_reml and bool(design.names)
        loglik = -0.5 * criterion_without_random(design, reml=reml)
    else:
        loglik = loglik_without_random(design, family, fit.request.control.threads)
    return Deletion(label, design, npar, loglik)


def deletion_columns(fit: MixedModel, rows: Sequence[Deletion]) -> dict[str, Floats]:
    """``npar, loglik, aic, lrt, df, p_value`` with ``fit`` itself in the first row."""
    npar = np.array([fit.df, *(r.npar for r in rows)])
    loglik = np.array([fit.loglik, *(r.loglik for r in rows)])
    lrt = np.maximum(0.0, 2.0 * (fit.loglik - loglik))
    df = (fit.df - npar).astype(np.float64)
    lrt[0] = df[0] = np.nan
    return {
        "npar": npar,
        "loglik": loglik,
        "aic": -2.0 * loglik + 2.0 * npar,
        "lrt": lrt,
        "df": df,
        "p_value": upper_tail(lrt, df),
    }


def troubles(fit: MixedModel, rows: Sequence[Deletion]) -> list[str]:
    """Sentences about fits that failed, and about a smaller model that fits better."""
    found = [r.trouble for r in rows if r.trouble]
    if not fit.convergence.ok:
        found.insert(0, f"The model itself did not converge: {fit.convergence.sentence}")
    better = [r.label for r in rows if r.loglik > fit.loglik + 1e-6 * (1.0 + abs(fit.loglik))]
    if better:
        found.append(
            f"Without {', '.join(better)} the likelihood is higher than with it, so the model "
            "stopped short of its maximum (or the smaller one is not contained in it); its test "
            "says nothing."
        )
    return found
