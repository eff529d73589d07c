"""Families and links for ``glmer``: ``mx.families.Poisson(link="sqrt")``.

>>> import mixeff as mx
>>> mx.families.Gamma(link="log")
Gamma(link=Log())
"""

from __future__ import annotations

from mixeff.generalized.families import (
    Binomial,
    Cauchit,
    Cloglog,
    Gamma,
    Gaussian,
    Identity,
    Inverse,
    InverseGaussian,
    InverseSquare,
    Log,
    Logit,
    NegativeBinomial,
    NegativeBinomial1,
    Poisson,
    Probit,
    Sqrt,
    UserLink,
)

__all__ = [
    "Binomial",
    "Cauchit",
    "Cloglog",
    "Gamma",
    "Gaussian",
    "Identity",
    "Inverse",
    "InverseGaussian",
    "InverseSquare",
    "Log",
    "Logit",
    "NegativeBinomial",
    "NegativeBinomial1",
    "Poisson",
    "Probit",
    "Sqrt",
    "UserLink",
]
