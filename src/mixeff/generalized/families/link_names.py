"""Links by their names."""

from __future__ import annotations

from difflib import get_close_matches

from mixeff.errors import OptionError
from mixeff.generalized.families.links import (
    BaseLink,
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

_LINKS: dict[str, type[BaseLink]] = {
    "logit": Logit,
    "probit": Probit,
    "cloglog": Cloglog,
    "cauchit": Cauchit,
    "log": Log,
    "identity": Identity,
    "inverse": Inverse,
    "1/mu^2": InverseSquare,
    "sqrt": Sqrt,
}
_ALIASES = {"1/mu**2": "1/mu^2", "inverse_squared": "1/mu^2", "reciprocal": "inverse"}


def link_named(name: str) -> BaseLink:
    """The link R calls by this name.

    Raises
    ------
    OptionError
        If there is no such link.
    """
    key = name.replace(" ", "").lower()
    found = _LINKS.get(_ALIASES.get(key, key))
    if found is not None:
        return found()
    close = get_close_matches(key, _LINKS, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise OptionError(
        f"Unknown link {name!r}.{hint} Links: {', '.join(_LINKS)}; or "
        "mx.families.UserLink(link, inverse, derivative)."
    )
