"""Families by the names R and Python give them."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

from mixeff.errors import OptionError
from mixeff.generalized.families.base import LinkedFamily
from mixeff.generalized.families.binomial import Binomial
from mixeff.generalized.families.family import Family
from mixeff.generalized.families.gamma import Gamma
from mixeff.generalized.families.gaussian import Gaussian
from mixeff.generalized.families.inverse_gaussian import InverseGaussian
from mixeff.generalized.families.link_names import link_named
from mixeff.generalized.families.links import BaseLink
from mixeff.generalized.families.negative_binomial import NegativeBinomial
from mixeff.generalized.families.negative_binomial1 import NegativeBinomial1
from mixeff.generalized.families.poisson import Poisson

_FAMILIES: dict[str, Callable[[], Family]] = {
    "binomial": Binomial,
    "bernoulli": Binomial,
    "poisson": Poisson,
    "gamma": Gamma,
    "inverse_gaussian": InverseGaussian,
    "inversegaussian": InverseGaussian,
    "gaussian": Gaussian,
    "normal": Gaussian,
    "negative_binomial": NegativeBinomial,
    "negativebinomial": NegativeBinomial,
    "nbinom2": NegativeBinomial,
    "nb2": NegativeBinomial,
    "nbinom": NegativeBinomial,
    "nbinom1": NegativeBinomial1,
    "nb1": NegativeBinomial1,
}
_SHOWN = (
    "binomial",
    "poisson",
    "Gamma",
    "inverse.gaussian",
    "gaussian",
    "negative_binomial",
    "nbinom1",
)
_QUASI = {
    "quasibinomial": "family='binomial' with a random effect for every row",
    "quasipoisson": "family='nbinom1' (variance mu (1 + phi)) or 'negative_binomial'",
    "quasi": "the family whose variance function you mean",
}


def family_of(family: str | Family, link: str | BaseLink | None = None) -> Family:
    """The family meant by a name or an object, with its own default link or the one given.

    Parameters
    ----------
    family : str or Family
        ``"binomial"``, ``"bernoulli"``, ``"poisson"``, ``"Gamma"``, ``"inverse.gaussian"``,
        ``"gaussian"``, ``"negative_binomial"`` / ``"nbinom2"``, ``"nbinom1"`` (case, dots, spaces
        and underscores do not matter), a family, or a family's class.
    link : str or Link, optional
        R's name of the link, or a link.

    Raises
    ------
    OptionError
        For an unknown or a quasi family, an unknown link, or two different links.

    Examples
    --------
    >>> from mixeff.generalized.families.lookup import family_of
    >>> family_of("inverse.gaussian", "log")
    InverseGaussian(link=Log())
    """
    if isinstance(family, str):
        found = _named(family)()
        return found if link is None else _relinked(found, link)
    if isinstance(family, type) and issubclass(family, LinkedFamily):
        return family_of(family.__name__, link)
    if not hasattr(family, "row_terms"):
        raise OptionError(
            f"family must be a name or a family such as mx.families.Poisson(), not {family!r}."
        )
    wanted = link_named(link) if isinstance(link, str) else link
    if wanted is not None and wanted != family.link:
        raise OptionError(
            f"The family already has the link {family.link.name!r} and link={wanted.name!r} was "
            f"given too; say it once: {type(family).__name__}(link={wanted.name!r})."
        )
    return family


def _relinked(family: Family, link: str | BaseLink) -> Family:
    made: Family = type(family)(link=link)  # type: ignore[call-arg]
    return made


def _named(name: str) -> Callable[[], Family]:
    key = name.strip().lower().replace(".", "_").replace(" ", "_").replace("-", "_")
    if key.startswith("quasi"):
        instead = _QUASI.get(key, _QUASI["quasi"])
        raise OptionError(
            f"The {name!r} family has no likelihood, so a mixed model cannot be fitted by it. "
            f"For overdispersion use {instead}."
        )
    found = _FAMILIES.get(key)
    if found is not None:
        return found
    close = get_close_matches(key, _FAMILIES, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise OptionError(f"Unknown family {name!r}.{hint} Families: {', '.join(_SHOWN)}.")
