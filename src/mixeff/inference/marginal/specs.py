"""Which variables a table of means is about, as the caller names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mixeff.errors import OptionError
from mixeff.inference.marginal.predictors import Predictor, not_known
from mixeff.model.options import shown

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel


def names_of(
    function: str,
    fit: MixedModel,
    known: Mapping[str, Predictor],
    specs: Any,
    by: Any,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The variables compared and the variables within which, as tuples.

    Parameters
    ----------
    specs : str, sequence of str or None
        Names; or text as emmeans writes it, ``"~ a + b"``, ``"a * b"``, ``"~ a | b"``; ``"1"`` for
        none.
    by : str, sequence of str or None

    Raises
    ------
    OptionError
        A name that is not in the fixed effects, one given twice.
    """
    primary, inner = _read(function, specs, known)
    within = (*inner, *_read(function, by, known)[0])
    names = (*primary, *within)
    for name in names:
        if name not in known:
            raise OptionError(not_known(function, fit, "specs or by", name, known))
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise OptionError(f"{function}: {twice!r} is named twice (in specs and by).")
    return primary, within


def _read(
    function: str, given: Any, known: Mapping[str, Predictor]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if given is None:
        return (), ()
    if isinstance(given, str):
        return ((given,), ()) if given in known else _text(function, given)
    if isinstance(given, Sequence) and all(isinstance(name, str) for name in given):
        return tuple(given), ()
    raise OptionError(
        f'{function}: name the variables, for example "a" or ["a", "b"], not {shown(given)}.'
    )


def _text(function: str, text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    left, _, right = text.rpartition("~")
    if left.strip():
        raise OptionError(
            f'{function}: "{left.strip()}" before the tilde asks for contrasts; call the method '
            f'.contrast("{left.strip()}") of the table.'
        )
    primary, _, within = right.partition("|")
    return _split(primary), _split(within)


def _split(text: str) -> tuple[str, ...]:
    for sign in "*:":
        text = text.replace(sign, "+")
    parts = (part.strip().strip("`") for part in text.split("+"))
    return tuple(dict.fromkeys(part for part in parts if part and part != "1"))
