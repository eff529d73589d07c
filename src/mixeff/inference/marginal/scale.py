"""The scale of the response: what the linear predictor is a transformation of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.formula.deparse import deparse
from mixeff.formula.tree import Expression, Name
from mixeff.inference.marginal.undo import (
    Step,
    logarithm,
    steps_of,
    undo,
    undo_interval,
    undo_slope,
)

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]

_POSITIVE = (0.0, math.inf)
# Links whose inverse turns or has a pole at zero; means lie on the positive side.
_DOMAINS = {"sqrt": _POSITIVE, "inverse": _POSITIVE, "1/mu^2": _POSITIVE}


@dataclass(frozen=True, slots=True)
class Scale:
    """A transformation of the response, the linear predictor's, and its inverse.

    Attributes
    ----------
    name : str, ``logit``, ``log``, ``log(y)`` ...
    steps : tuple of Step, which undo it one after the other
    what : str, what a back-transformed mean is
    base : float or None
        Of a logarithm (or log odds): differences are then logarithms of ratios.
    ratio : str, what such a ratio is
    """

    name: str
    steps: tuple[Step, ...]
    what: str = "mean response"
    base: float | None = None
    ratio: str = "ratio"

    def inverse(self, eta: Floats) -> Floats:
        """The response of a linear predictor."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return undo(self.steps, eta)

    def slope(self, eta: Floats) -> Floats:
        """The derivative of `inverse`."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return undo_slope(self.steps, eta)

    def interval(self, eta: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """The responses of an interval around a linear predictor."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return undo_interval(self.steps, eta, low, high)

    def of_ratios(self) -> Scale:
        """The scale of differences where they are logarithms of ratios."""
        assert self.base is not None
        return Scale(
            name=f"log {self.ratio}",
            steps=(logarithm(self.base),),
            what=self.ratio,
            base=self.base,
            ratio=f"ratio of {self.ratio}s",
        )


def response_scale(fit: MixedModel) -> Scale | None:
    """The link of a generalized model, or the transformation of the response of a linear one.

    None where the linear predictor is on the scale of the response, or the transformation is none
    that can be undone.
    """
    if hasattr(fit, "link"):
        return _of_link(fit)
    response = fit.request.parsed.response
    return None if response is None else _of_expression(fit, response)


def undone_note(fit: MixedModel, scale: Scale | None) -> list[str]:
    """That ``type="response"`` changes nothing: the response is no function that can be undone."""
    response = fit.request.parsed.response
    if scale is not None or response is None or isinstance(response, Name) or hasattr(fit, "link"):
        return []
    return [f"The response is {deparse(response)}, taken as it is: no function to undo."]


def _of_link(fit: MixedModel) -> Scale | None:
    link = fit.request.family.link if fit.request.family is not None else None
    link = getattr(getattr(fit.estimate, "family", None), "link", link)
    if link is None or link.name == "identity":
        return None
    domain = getattr(link, "domain", _DOMAINS.get(link.name, (-math.inf, math.inf)))
    return Scale(
        name=link.name,
        steps=(Step(link.mu, partial(_link_slope, link), domain),),
        what="probability" if fit.family == "binomial" else "mean response",
        base=math.e if link.name in ("log", "logit") else None,
        ratio="odds ratio" if link.name == "logit" else "ratio",
    )


def _link_slope(link: Any, eta: Floats) -> Floats:
    return np.asarray(link.derivatives(eta)[0])


def _of_expression(fit: MixedModel, response: Expression) -> Scale | None:
    """The transformations of a response that a user of R writes: logs, roots, powers, multiples."""
    state = fit.design.state.response
    steps = steps_of(response, {} if state is None else dict(state.state.learnt))
    if not steps:
        return None
    name = deparse(response)
    return _logarithmic(name, steps) or Scale(name, steps)


def _logarithmic(name: str, steps: tuple[Step, ...]) -> Scale | None:
    """The scale of ``a * log(b * y + c) + d``: its differences are logarithms of ratios."""
    place = next((j for j, step in enumerate(steps) if step.factor is None), None)
    if place is None or (base := steps[place].base) is None:
        return None
    inner = steps[place + 1 :]
    if any(step.factor is None for step in inner):
        return None
    multiple = math.prod(step.factor or 1.0 for step in steps[:place])
    added = -float(undo(inner, np.zeros(1))[0])  # the response whose logarithm is infinite
    return Scale(
        name,
        steps,
        what="mean response" if added else "geometric mean",
        base=base ** (1.0 / multiple),
        ratio=f"ratio of response {added:+g}" if added else "ratio",
    )
