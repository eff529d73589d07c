"""What the families share: link handling, weights, assembling the terms of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from mixeff.generalized.families.family import RowTerms
from mixeff.generalized.families.jets import Jet
from mixeff.generalized.families.link_names import link_named
from mixeff.generalized.families.links import BaseLink

if TYPE_CHECKING:
    from mixeff.generalized.kernels.passes import RowPass

Floats = NDArray[np.float64]
Slopes = tuple[Floats, Floats, Floats]


@dataclass(frozen=True)
class LinkedFamily:
    """A family with its link, given by name or as an object.

    Attributes
    ----------
    link : Link
    """

    link: BaseLink

    @property
    def known(self) -> float | None:
        """The dispersion or shape given with the family, which is not estimated; else None."""
        return None

    #: The family's name among the compiled passes.
    kernel: ClassVar[str] = ""

    def compiled(self, y: Floats, weights: Floats | None, threads: int = 1) -> RowPass | None:
        """The compiled pass over these rows, or None where only ``row_terms`` can.

        It serves R's links of every family. A user's link, other pairs, and counts above 1e5
        (where ``row_terms`` keeps more digits) have none.
        """
        from mixeff.generalized.kernels.passes import compiled_pass

        return compiled_pass(self, y, weights, threads)

    def _set_link(self, link: BaseLink | str) -> None:
        found = link_named(link) if isinstance(link, str) else link
        object.__setattr__(self, "link", found)

    def _start_inside(self, mu: Floats) -> Floats:
        """The start moved to where the link has an eta."""
        lower, upper = self.link.mean_range
        if lower == 0.0:
            size = float(np.abs(mu).mean()) if mu.size else 1.0
            mu = np.where(mu <= 0.0, 0.1 * size or 1.0, mu)
        if upper == 1.0:
            mu = np.clip(mu, 0.05, 0.95)
        if self.link.name == "inverse":
            # The mean zero has no reciprocal; any small number of either sign is a start.
            size = float(np.abs(mu).mean()) if mu.size else 1.0
            floor = 0.1 * size or 1.0
            mu = np.where(np.abs(mu) < floor, np.where(mu < 0.0, -floor, floor), mu)
        return mu


def plain_terms(
    loglik: Floats, jet: Jet, information: Slopes | None, *, curvature: bool
) -> RowTerms:
    """Terms of a family without dispersion; ``information`` replaces the observed one."""
    weight, slope, second = information or (-jet[2], -jet[3], -jet[4])
    return RowTerms(
        loglik=possible(loglik),
        score=jet[1],
        weight=weight,
        weight_slope=slope,
        weight_curvature=second if curvature else None,
    )


def scale_terms(
    values: tuple[Floats, Floats, Floats],
    jet: Jet,
    information: Slopes | None,
    *,
    curvature: bool,
) -> RowTerms:
    """Terms of Gamma, inverse Gaussian, Gaussian: all derivatives in eta go with 1 / phi.

    Parameters
    ----------
    values : log-likelihood and its first two derivatives in log phi
    jet : of the log-likelihood; its value is not used
    """
    loglik, first, second = values
    score = jet[1]
    weight, slope, bend = information or (-jet[2], -jet[3], -jet[4])
    return RowTerms(
        loglik=possible(loglik),
        score=score,
        weight=weight,
        weight_slope=slope,
        loglik_r=first,
        score_r=-score,
        weight_r=-weight,
        weight_curvature=bend if curvature else None,
        loglik_rr=second if curvature else None,
        score_rr=score if curvature else None,
        weight_rr=weight if curvature else None,
        weight_slope_r=-slope if curvature else None,
    )


def shape_terms(
    values: tuple[Floats, Floats, Floats],
    jets: Sequence[Jet],
    information: Sequence[Slopes] | None,
    weights: Floats | None,
    *,
    curvature: bool,
) -> RowTerms:
    """Terms of the negative binomials, whose shape or phi enters otherwise than as a factor.

    Parameters
    ----------
    values : log-likelihood and its first two derivatives in r
    jets : along eta, of the log-likelihood and of these two derivatives (values are not used)
    information : expected, and its derivatives in r, instead of the observed
    weights : (n,) array or None; not yet in the others
    """
    loglik, first, second = times(weights, *values)
    plain, by_r, by_rr = (weighted_jet(weights, jet) for jet in jets)
    if information is None:
        parts = [(-jet[2], -jet[3], -jet[4]) for jet in (plain, by_r, by_rr)]
    else:
        parts = [weighted_slopes(weights, slopes) for slopes in information]
    terms = RowTerms(
        loglik=loglik,
        score=plain[1],
        weight=parts[0][0],
        weight_slope=parts[0][1],
        loglik_r=first,
        score_r=by_r[1],
        weight_r=parts[1][0],
        weight_curvature=parts[0][2] if curvature else None,
        loglik_rr=second if curvature else None,
        score_rr=by_rr[1] if curvature else None,
        weight_rr=parts[2][0] if curvature else None,
        weight_slope_r=parts[1][1] if curvature else None,
    )
    return no_weight(terms, weights)


def possible(loglik: Floats) -> Floats:
    """-inf where the linear predictor has no valid mean."""
    return np.where(np.isnan(loglik), -np.inf, loglik)


def times(weights: Floats | None, *parts: Floats) -> tuple[Floats, ...]:
    """Every part times the prior weights."""
    return parts if weights is None else tuple(weights * part for part in parts)


def weighted_jet(weights: Floats | None, jet: Jet) -> Jet:
    """The jet times the prior weights."""
    if weights is None:
        return jet
    a, b, c, d, e = jet
    return weights * a, weights * b, weights * c, weights * d, weights * e


def weighted_slopes(weights: Floats | float | None, slopes: Slopes) -> Slopes:
    """Expected information and its slopes times the prior weights."""
    if weights is None:
        return slopes
    a, b, c = slopes
    return weights * a, weights * b, weights * c


def combine(*terms: tuple[Floats | float, Jet]) -> Jet:
    """Sum of coefficients times jets; a coefficient of zero leaves its jet out.

    The value may be NaN or infinite (log of an impossible mean) in a row whose coefficient is
    zero only by its data: that row is handled by the caller's value of the log-likelihood.
    """
    total: list[Floats] = []
    for coefficient, jet in terms:
        parts = [coefficient * part for part in jet]
        total = parts if not total else [a + b for a, b in zip(total, parts, strict=True)]
    return total[0], total[1], total[2], total[3], total[4]


def rates(y: Floats, weights: Floats | None, phi: float) -> Floats:
    """w / phi; a row of weight zero gets any rate, see ``no_weight``."""
    if weights is None:
        return np.full_like(y, 1.0 / phi)
    return np.where(weights > 0, weights, 1.0) / phi


def no_weight(terms: RowTerms, weights: Floats | None) -> RowTerms:
    """Rows of weight zero say nothing: all their terms are zero (1 / phi * 0 has no log)."""
    if weights is None or weights.all():
        return terms
    empty = weights == 0
    parts = {
        name: np.where(empty, 0.0, part)
        for name in RowTerms.__dataclass_fields__
        if (part := getattr(terms, name)) is not None
    }
    return replace(terms, **parts)


def signed_root(y: Floats, mu: Floats, weights: Floats | None, deviance: Floats) -> Floats:
    """Signed square roots of unit deviances times weights."""
    (weighted,) = times(weights, np.maximum(deviance, 0.0))
    root: Floats = np.sign(y - mu) * np.sqrt(weighted)
    return root
