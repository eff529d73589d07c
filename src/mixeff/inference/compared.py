"""Which models a comparison is about, and by what names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

from mixeff.errors import ComparisonError, OptionError
from mixeff.model.names import variable_name
from mixeff.model.options import closest

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel


def named_models(
    models: Sequence[Any],
    named: Mapping[str, Any],
    frame: FrameType | None,
    *,
    minimum: int,
    options: Sequence[str] = (),
) -> dict[str, MixedModel]:
    """The models by row label: the caller's variables, else ``model1`` ...; keyword names win.

    Raises
    ------
    OptionError
        Something given is not a fitted model.
    ComparisonError
        Fewer than ``minimum`` models.
    """
    for position, model in enumerate(models, start=1):
        if not _is_fit(model):
            raise OptionError(
                f"argument {position} is not a fitted model but a {type(model).__name__}; "
                "give models made by mixeff.lmer or mixeff.glmer."
            )
    for name, model in named.items():
        if not _is_fit(model):
            raise OptionError(_not_a_model(name, model, options))
    if len(models) + len(named) < minimum:
        needed = "one model" if minimum == 1 else f"{minimum} models"
        raise ComparisonError(
            f"a comparison needs at least {needed}, such as (m0, m1), and "
            f"{len(models) + len(named) or 'none'} came."
        )
    labels = _labels(models, named, frame)
    return dict(zip(labels, [*models, *named.values()], strict=True))


def of_one_likelihood(models: Sequence[Any], refit: bool, function: str) -> tuple[list[Any], bool]:
    """The models, all fitted by ML or all by REML, and whether any had to be refitted for it.

    Raises
    ------
    ComparisonError
        REML and ML fits are mixed, and ``refit`` is False.
    """
    restricted = [m.is_reml for m in models]
    if refit and any(restricted):
        return [m.refit_ml() for m in models], True
    if any(restricted) and not all(restricted):
        raise ComparisonError(
            f"{function}: REML and ML fits are mixed, and refit=False forbids to make them alike. "
            "Fit all of them with the same reml=, or leave refit=True."
        )
    return list(models), False


def _is_fit(value: Any) -> bool:
    """A fitted model, known by what a comparison reads of it."""
    return not isinstance(value, type) and all(
        hasattr(type(value), name) for name in ("loglik", "df", "nobs", "is_reml")
    )


def _not_a_model(name: str, value: Any, options: Sequence[str]) -> str:
    near = closest(name, options)
    hint = f' Did you mean "{near}"?' if near else " Keyword arguments name models."
    return f'"{name}" is neither an option nor a fitted model ({type(value).__name__}).{hint}'


def _labels(models: Sequence[Any], named: Mapping[str, Any], frame: FrameType | None) -> list[str]:
    labels: list[str] = []
    taken = set(named)
    for position, model in enumerate(models, start=1):
        label = variable_name(model, frame) or f"model{position}"
        # The same model twice, or a variable named as a keyword: keep the rows apart.
        if label in taken:
            label = _free(label, taken)
        taken.add(label)
        labels.append(label)
    return [*labels, *named]


def _free(label: str, taken: set[str]) -> str:
    count = 1
    while f"{label}.{count}" in taken:
        count += 1
    return f"{label}.{count}"
