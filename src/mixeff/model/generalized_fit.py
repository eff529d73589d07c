"""A fitted generalized linear mixed model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.model.mixed import MixedModel
from mixeff.model.padding import pad
from mixeff.model.request import Request
from mixeff.model.scales import has_scale, scale

if TYPE_CHECKING:
    from mixeff.design.design import Design
    from mixeff.generalized.estimate import GeneralizedEstimate
    from mixeff.model.varcorr import VarCorr

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class GeneralizedMixedModel(MixedModel):
    """A model fitted by `glmer` or `glmer_nb`. Immutable: `update`, `refit` return new ones.

    Prints as lme4 prints a fit; `summary` gives the full table with z and p values.

    Attributes
    ----------
    request : Request
        The arguments of the call.
    design : Design
        The numbers formula and data became. The response of a binomial model is the proportion of
        successes, with the numbers of trials as weights.
    estimate : GeneralizedEstimate
        The optimum.

    Examples
    --------
    >>> import mixeff as mx
    >>> m = mx.glmer(
    ...     "cbind(incidence, size - incidence) ~ period + (1 | herd)",
    ...     mx.load_dataset("cbpp"),
    ...     family="binomial",
    ... )
    >>> m.fixef.round(2).to_dict()
    {'(Intercept)': -1.4, 'period2': -0.99, 'period3': -1.13, 'period4': -1.58}
    >>> round(m.loglik, 2)
    -92.03
    """

    request: Request
    design: Design
    estimate: GeneralizedEstimate

    @property
    def family(self) -> str:
        """R's name of the distribution: ``"binomial"``, ``"poisson"``, ``"Gamma"`` ..."""
        return self.estimate.family.name

    @property
    def link(self) -> str:
        """Name of the link: ``"logit"``, ``"log"`` ..."""
        return self.estimate.family.link.name

    @property
    def n_agq(self) -> int:
        """0: the fast fit; 1: Laplace; more: nodes of the adaptive Gauss-Hermite quadrature."""
        return self.estimate.n_agq

    @property
    def is_reml(self) -> bool:
        """False: generalized models are fitted by maximum likelihood."""
        return False

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know about formula, data and fit, in sentences."""
        return (*self.design.notes, *self.estimate.notes)

    @property
    def df(self) -> int:
        """Number of estimated parameters: coefficients, theta, and the dispersion if there is."""
        known = getattr(self.request.family, "known", None) is not None
        estimated = self.estimate.dispersion is not None and not known
        return len(self.design.names) + int(self.estimate.theta.size) + estimated

    @property
    def dispersion(self) -> float | None:
        """Estimated phi of Var(y) = phi V(mu), or shape of a negative binomial; else None."""
        return self.estimate.dispersion

    @property
    def sigma(self) -> float:
        """Root of the dispersion phi, as lme4's ``sigma``; 1 for families without one.

        A negative binomial has a shape and no such factor: 1.
        """
        return scale(self.estimate)

    @property
    def theta(self) -> Floats:
        """Cholesky factors of the random effects' covariances, on the scale of the link (a copy).

        Lower triangles by columns, terms in lme4's order; not relative to sigma, also where lme4's
        are (Gamma, inverse Gaussian, Gaussian).
        """
        return self.estimate.theta.copy()

    @property
    def ranef_variance(self) -> dict[str, Floats]:
        """Covariances of the random effects given data, theta, beta: factor -> (levels, q, q)."""
        from mixeff.model.generalized_effects import conditional_covariances

        return conditional_covariances(self.design, self.estimate)

    @property
    def varcorr(self) -> VarCorr:
        """Variances and correlations of the random effects; ``.to_frame()`` for the numbers.

        With a dispersion phi its root stands in the row ``Residual``, as in lme4; the other
        variances are not relative to it.
        """
        from mixeff.model.varcorr import variance_components

        return variance_components(
            self.design,
            self.estimate.Lambda,
            scale=1.0,
            residual_sd=self.sigma if has_scale(self.estimate) else None,
        )

    @property
    def is_singular(self) -> bool:
        """Whether some random term has no variance in some direction."""
        from dataclasses import replace

        from mixeff.diagnostics.singularity import is_singular

        # Weights are numbers of trials: they do not change the unit of the random effects.
        return is_singular(replace(self.design, weights=None), self.estimate.Lambda)

    @property
    def loglik(self) -> float:
        """Log-likelihood with all constants, as approximated (see ``n_agq``)."""
        return float(self.estimate.loglik)

    @property
    def deviance(self) -> float:
        """Deviance given the random effects at their modes, as lme4's ``deviance``.

        The sum of the squared deviance residuals. What `summary` and `mixeff.anova` print under
        ``deviance`` is ``-2 * loglik``, as in lme4.
        """
        from mixeff.diagnostics.residuals import residuals

        deviance = residuals(self.design, self.estimate, "deviance")
        return float(deviance @ deviance)

    @property
    def reml_criterion(self) -> None:
        """None: there is no REML criterion."""
        return

    @property
    def linear_predictor(self) -> Floats:
        """X beta + offset + Z b at the conditional modes (n,); padded as `fitted`."""
        return pad(self, self.estimate.linear_predictor.copy())

    @property
    def fitted(self) -> Floats:
        """Means of the response at the conditional modes (n,); for a binomial, probabilities.

        With ``na_action="exclude"`` as long as the data, NaN in the rows left out.
        """
        return pad(self, self.estimate.family.link.mu(self.estimate.linear_predictor))
