"""A fitted linear mixed model: what was asked, what was estimated, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.model.mixed import MixedModel
from mixeff.model.padding import pad
from mixeff.model.request import Request

if TYPE_CHECKING:
    from mixeff.design.design import Design
    from mixeff.linear.estimate import LinearEstimate
    from mixeff.model.varcorr import VarCorr

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class LinearMixedModel(MixedModel):
    """A linear mixed model fitted by `lmer`. Immutable: `update` and `refit` return new ones.

    Prints as lme4 prints a fit; `summary` gives the full table.

    Attributes
    ----------
    request : Request
        The arguments of the call.
    design : Design
        The numbers formula and data became (response, X, random terms, weights, offset).
    estimate : LinearEstimate
        The optimum.

    Examples
    --------
    >>> import mixeff as mx
    >>> m = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
    >>> m.fixef.round(2).to_dict()
    {'(Intercept)': 251.41, 'Days': 10.47}
    >>> round(m.reml_criterion, 3)
    1743.628
    """

    request: Request
    design: Design
    estimate: LinearEstimate

    @property
    def family(self) -> str:
        """``"gaussian"``."""
        return "gaussian"

    @property
    def is_reml(self) -> bool:
        """Whether the fit is by restricted maximum likelihood."""
        return self.estimate.reml

    @property
    def df(self) -> int:
        """Number of estimated parameters: coefficients, theta, sigma."""
        return len(self.design.names) + int(self.estimate.theta.size) + 1

    @property
    def ranef_variance(self) -> dict[str, Floats]:
        """Covariances of the random effects given data, theta, beta: factor -> (levels, q, q)."""
        from mixeff.model.effects import conditional_covariances

        return conditional_covariances(self.design, self.estimate)

    @property
    def sigma(self) -> float:
        """Residual standard deviation."""
        return float(self.estimate.sigma)

    @property
    def theta(self) -> Floats:
        """Relative Cholesky factors, lower triangles by columns, terms in lme4's order (a copy)."""
        return self.estimate.theta.copy()

    @property
    def varcorr(self) -> VarCorr:
        """Variances and correlations of the random effects; ``.to_frame()`` for the numbers."""
        from mixeff.model.varcorr import variance_components

        return variance_components(
            self.design, self.estimate.Lambda, scale=self.sigma, residual_sd=self.sigma
        )

    @property
    def is_singular(self) -> bool:
        """Whether some random term has no variance in some direction."""
        from mixeff.diagnostics.singularity import is_singular

        return is_singular(self.design, self.estimate.Lambda)

    @property
    def loglik(self) -> float:
        """Log-likelihood; the restricted one for a REML fit."""
        return -0.5 * float(self.estimate.criterion)

    @property
    def deviance(self) -> float | None:
        """-2 log-likelihood of an ML fit; None for a REML fit."""
        return None if self.is_reml else float(self.estimate.criterion)

    @property
    def reml_criterion(self) -> float | None:
        """-2 restricted log-likelihood of a REML fit; None for an ML fit."""
        return float(self.estimate.criterion) if self.is_reml else None

    @property
    def fitted(self) -> Floats:
        """Fitted values, random effects included (n,).

        With ``na_action="exclude"`` as long as the data, NaN in the rows left out.
        """
        from mixeff.model.linear_predictor import fitted_values

        return pad(self, fitted_values(self.design, self.estimate))
