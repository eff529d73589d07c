"""From the arguments of `glmer` to a fit: formula and data to a design, a design to an optimum."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixeff.control import Control
from mixeff.design.build import build_design
from mixeff.design.design import Design
from mixeff.design.response import BINOMIAL, OTHER
from mixeff.errors import ConvergenceWarning, OptionError
from mixeff.frames.notices import notify
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.generalized.families.family import Family
from mixeff.generalized.families.lookup import family_of
from mixeff.generalized.fit import fit_generalized
from mixeff.generalized.notes import is_advice
from mixeff.model.effects import terms_by_group
from mixeff.model.fitting import checked_control, checked_start, kept_data, read_formula
from mixeff.model.generalized_fit import GeneralizedMixedModel
from mixeff.model.request import Request

GLMER_ARGUMENTS = (
    "formula",
    "data",
    "family",
    "link",
    "n_agq",
    "weights",
    "offset",
    "contrasts",
    "na_action",
    "start",
    "control",
)
_MOST_NODES = 100
_MOST_EFFECTS = 3


def prepare(
    *,
    formula: str,
    data: Any,
    data_name: str,
    family: Any,
    link: Any,
    n_agq: int,
    weights: Any,
    offset: Any,
    contrasts: Any,
    na_action: str,
    start: Any,
    control: Control | None,
) -> tuple[Request, Design]:
    """Check the arguments, read the formula, make the design."""
    control = checked_control("glmer", control)
    found = checked_family(family, link)
    nodes = _checked_nodes(n_agq)
    parsed, frame = read_formula("glmer", formula, data, control)
    binomial = found.name == "binomial"
    design = build_design(
        parsed,
        frame,
        weights=weights,
        offset=offset,
        contrasts=contrasts,
        na_action=na_action,
        kind=BINOMIAL if binomial else OTHER,
    )
    if not binomial:  # its response was checked, with the rows of the data, when it was read
        found.check_response(design.response, design.weights)
    if nodes > 1:
        _check_quadrature(nodes, design)
    request = Request(
        formula=formula,
        parsed=parsed,
        data=kept_data(frame, data),
        data_name=data_name,
        reml=False,
        weights=weights,
        offset=offset,
        contrasts=None if contrasts is None else dict(contrasts),
        na_action=na_action,
        start=_checked_start(start, design),
        control=control,
        family=found,
        n_agq=nodes,
    )
    return request, design


def fit_design(
    request: Request, design: Design, like: GeneralizedEstimate | None = None
) -> GeneralizedMixedModel:
    """Estimate, and warn of separation, a variance without end, or conditions that do not hold.

    ``like`` is a fit of the same design to another response.
    """
    assert request.family is not None
    estimate = fit_generalized(
        design,
        request.family,
        n_agq=request.n_agq,
        control=request.control,
        start=request.start,
        like=like,
    )
    if not estimate.sound:
        verdict = estimate.convergence
        # What the summary says is said at once where numbers of the fit mean nothing.
        troubles = [note for note in estimate.notes if not is_advice(note)]
        for sentence in troubles or ([] if verdict.ok else [verdict.sentence]):
            notify(sentence, ConvergenceWarning)
    return GeneralizedMixedModel(request, design, estimate)


def checked_family(family: Any, link: Any) -> Family:
    """The family, which must not be that of a linear model.

    Raises
    ------
    OptionError
        No such family or link, a quasi family, or the normal distribution with identity link.
    """
    found = family_of(family, link)
    if found.name == "gaussian" and found.link.name == "identity":
        raise OptionError(
            "glmer: a gaussian family with the identity link is a linear mixed model; fit it with "
            "lmer(..., reml=False). For another link give link=, for example "
            'glmer(..., family="gaussian", link="log").'
        )
    return found


def _checked_nodes(n_agq: Any) -> int:
    whole = isinstance(n_agq, int | np.integer) and not isinstance(n_agq, bool)
    if whole and 0 <= n_agq <= _MOST_NODES:
        return int(n_agq)
    raise OptionError(
        f"glmer: n_agq must be a whole number from 0 to {_MOST_NODES}, not {n_agq!r}: 0 is the "
        "fast fit, 1 the Laplace approximation, more are nodes of adaptive Gauss-Hermite "
        "quadrature."
    )


def _check_quadrature(nodes: int, design: Design) -> None:
    """Quadrature needs groups that are independent of each other, with few effects each."""
    groups = terms_by_group(design)
    if len(groups) > 1:
        raise OptionError(
            f"glmer: n_agq={nodes} needs one grouping factor; the model has {len(groups)} "
            f"({', '.join(groups)}), whose effects do not separate into small integrals. "
            "Use n_agq=1, the Laplace approximation."
        )
    effects = sum(term.n_columns for term in design.random)
    if effects > _MOST_EFFECTS:
        raise OptionError(
            f"glmer: n_agq={nodes} would need {nodes}^{effects} nodes for each level of "
            f"{next(iter(groups))}, which has {effects} random effects; quadrature is available up "
            f"to {_MOST_EFFECTS}. Use n_agq=1, the Laplace approximation."
        )


def _checked_start(start: Any, design: Design) -> Any:
    """Starting theta, with the coefficients behind it if they came too; or None.

    A mapping has entries ``theta`` and ``beta`` (lme4's ``fixef``).
    """
    if start is None:
        return None
    if not isinstance(start, dict):
        both = len(design.names) + sum(term.n_theta for term in design.random)
        if np.shape(start) == (both,):
            k = both - len(design.names)
            return _checked_start({"theta": start[:k], "beta": start[k:]}, design)
        return checked_start("glmer", start, design)
    unknown = set(start) - {"theta", "beta", "fixef"}
    if unknown:
        raise OptionError(
            f"glmer: start has no entry {sorted(unknown)[0]!r}; it may hold "
            '"theta" and "beta" (or "fixef").'
        )
    if start.get("theta") is None:
        raise OptionError('glmer: start needs an entry "theta".')
    theta = checked_start("glmer", start["theta"], design)
    beta = start.get("beta", start.get("fixef"))
    if beta is None:
        return theta
    values = np.asarray(beta, dtype=np.float64)
    if values.shape != (len(design.names),) or not np.isfinite(values).all():
        raise OptionError(
            f"glmer: start for the coefficients must be {len(design.names)} finite numbers "
            f"({', '.join(design.names)})."
        )
    return np.concatenate([theta, values])
