"""Distributions of the response given the random effects, and their links."""

from __future__ import annotations

from mixeff.generalized.families.binomial import Binomial
from mixeff.generalized.families.family import Family, Link, RowTerms
from mixeff.generalized.families.gamma import Gamma
from mixeff.generalized.families.gaussian import Gaussian
from mixeff.generalized.families.inverse_gaussian import InverseGaussian
from mixeff.generalized.families.links import (
    Cauchit,
    Cloglog,
    Identity,
    Inverse,
    InverseSquare,
    Log,
    Logit,
    Probit,
    Sqrt,
)
from mixeff.generalized.families.lookup import family_of
from mixeff.generalized.families.negative_binomial import NegativeBinomial
from mixeff.generalized.families.negative_binomial1 import NegativeBinomial1
from mixeff.generalized.families.poisson import Poisson
from mixeff.generalized.families.user_link import UserLink

__all__ = [
    "Binomial",
    "Cauchit",
    "Cloglog",
    "Family",
    "Gamma",
    "Gaussian",
    "Identity",
    "Inverse",
    "InverseGaussian",
    "InverseSquare",
    "Link",
    "Log",
    "Logit",
    "NegativeBinomial",
    "NegativeBinomial1",
    "Poisson",
    "Probit",
    "RowTerms",
    "Sqrt",
    "UserLink",
    "family_of",
]
