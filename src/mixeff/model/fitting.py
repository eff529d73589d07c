"""From arguments to a fit, in two steps: formula and data to a design, a design to an optimum."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixeff.control import Control
from mixeff.design.build import build_design
from mixeff.design.design import Design
from mixeff.errors import ConvergenceWarning, DesignError, OptionError
from mixeff.formula import depends_on_columns, parse_formula
from mixeff.formula.tree import ModelFormula
from mixeff.frames.columns import Frame, open_frame
from mixeff.frames.notices import notify
from mixeff.frames.other_frames import StreamFrame
from mixeff.linear.estimate import LinearEstimate
from mixeff.linear.fit import fit_linear
from mixeff.model.fit import LinearMixedModel
from mixeff.model.request import Request

LMER_ARGUMENTS = (
    "formula",
    "data",
    "reml",
    "weights",
    "offset",
    "contrasts",
    "na_action",
    "start",
    "control",
)


_WITHOUT_RANDOM = (
    "Without random terms this is a generalized linear model: use statsmodels "
    "(statsmodels.formula.api.glm).",
    "Without random terms this is ordinary least squares: use statsmodels "
    "(statsmodels.formula.api.ols).",
)


def prepare(
    *,
    formula: str,
    data: Any,
    data_name: str,
    reml: bool,
    weights: Any,
    offset: Any,
    contrasts: Any,
    na_action: str,
    start: Any,
    control: Control | None,
) -> tuple[Request, Design]:
    """Check the arguments, read the formula, make the design."""
    control = checked_control("lmer", control)
    if not isinstance(reml, bool | np.bool_):
        raise OptionError(f"lmer: reml must be True or False, not {reml!r}.")
    parsed, frame = read_formula("lmer", formula, data, control)
    design = build_design(
        parsed, frame, weights=weights, offset=offset, contrasts=contrasts, na_action=na_action
    )
    request = Request(
        formula=formula,
        parsed=parsed,
        data=kept_data(frame, data),
        data_name=data_name,
        reml=bool(reml),
        weights=weights,
        offset=offset,
        contrasts=None if contrasts is None else dict(contrasts),
        na_action=na_action,
        start=checked_start("lmer", start, design),
        control=control,
    )
    return request, design


def fit_design(
    request: Request, design: Design, like: LinearEstimate | None = None
) -> LinearMixedModel:
    """Estimate, and warn if the optimality conditions do not hold at the end.

    ``like`` is a fit of the same design to another response or by the other criterion.
    """
    # Without fixed effects the two criteria are one, which lme4 calls maximum likelihood.
    reml = request.reml and bool(design.names)
    estimate = fit_linear(
        design, reml=reml, control=request.control, start=request.start, like=like
    )
    if not estimate.outcome.ok:
        notify(estimate.convergence.sentence, ConvergenceWarning)
    return LinearMixedModel(request, design, estimate)


def read_formula(
    function: str, formula: Any, data: Any, control: Control
) -> tuple[ModelFormula, Frame]:
    """The formula as a tree, with the data opened."""
    if not isinstance(formula, str):
        raise OptionError(
            f'{function}: formula must be a string such as "y ~ x + (1 | g)", '
            f"not {type(formula).__name__}."
        )
    frame = open_frame(data)
    # Asking a frame for all its names takes longer than remembering a formula.
    columns = frame.names() if depends_on_columns(formula) else None
    parsed = parse_formula(formula, double_bar=control.double_bar, columns=columns)
    _require_random(function, parsed)
    return parsed, frame


def kept_data(frame: Any, data: Any) -> Any:
    """What later updates read: the caller's data, or what was read of a stream, readable once."""
    return frame if isinstance(frame, StreamFrame) else data


def checked_control(function: str, control: Any) -> Control:
    """The control given, or the default one."""
    if control is None:
        return Control()
    if isinstance(control, Control):
        return control
    raise OptionError(
        f"{function}: control must be a mixeff.Control, not {type(control).__name__}; "
        "for example control=mixeff.Control(tolerance=1e-10)."
    )


def _require_random(function: str, parsed: ModelFormula) -> None:
    if parsed.random:
        return
    raise DesignError(
        f"The formula has no random term: {parsed.text}\n"
        "A random intercept for each level of g is written (1 | g), with the parentheses. "
        f"{_WITHOUT_RANDOM[function == 'lmer']}"
    )


def checked_start(function: str, start: Any, design: Design) -> Any:
    """Starting theta as a vector of the right length, or None.

    Raises
    ------
    OptionError
        Not numeric, of the wrong length, or not finite.
    """
    if start is None:
        return None
    length = sum(term.n_theta for term in design.random)
    try:
        theta = np.array(start, dtype=np.float64)
    except (TypeError, ValueError):
        raise OptionError(
            f"{function}: start must be a vector of {length} starting values for theta, "
            f"not {start!r}."
        ) from None
    if theta.shape != (length,):
        parts = ", ".join(f"{term.n_theta} for {term.label}" for term in design.random)
        raise OptionError(
            f"{function}: start has shape {theta.shape}, but theta has {length} entries ({parts})."
        )
    if not np.isfinite(theta).all():
        raise OptionError(f"{function}: start has missing or infinite entries.")
    return theta
