"""Tests and intervals of linear functions of the coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import OptionError
from mixeff.inference.hypothesis_forms import LABEL, Hypotheses, read_hypotheses
from mixeff.inference.method import (
    TOO_FEW,
    Method,
    independent_rows,
    method_of,
    t_quantile,
    t_tail,
)
from mixeff.inference.table import Column, ResultTable
from mixeff.model.options import check_level, check_switch

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]

_INCONSISTENT = 1e-8


def contrast(
    fit: MixedModel,
    L: Any,
    rhs: float | Sequence[float] | Floats = 0.0,
    *,
    ddf: str | None = "auto",
    vcov: str | None = None,
    joint: bool = False,
    level: float = 0.95,
) -> ResultTable:
    """Linear functions of the coefficients: estimates, tests, intervals.

    Parameters
    ----------
    fit : MixedModel
    L : array (p,) or (k, p), text, dict, data frame, or a list of these
        See `LinearMixedModel.contrast`.
    rhs : float or (k,) array
        Hypothetical values; those written in a text stand there.
    ddf, vcov : as `mixeff.inference.method.method_of`
    joint : bool
        One F test that all hold, in place of a test each.
    level : float, of the intervals

    Returns
    -------
    ResultTable
        ``estimate, std_error, df, statistic, p_value, lower, upper``, a row per row of L; with
        ``joint`` ``num_df, den_df, f_value, p_value``.

    Raises
    ------
    OptionError
        L has the wrong width, names a coefficient the model does not have, is zero or not finite;
        rows that contradict each other; ``level`` outside (0, 1).
    """
    check_level("contrast", level)
    check_switch("contrast", "joint", joint)
    asked = read_hypotheses(fit, L, rhs)
    method = method_of(fit, ddf, vcov, function="contrast")
    if joint:
        return _joint(fit, asked, method, tests=ddf is not None)
    return _single(fit, asked, method, level, tests=ddf is not None)


def _single(
    fit: MixedModel, asked: Hypotheses, method: Method, level: float, *, tests: bool
) -> ResultTable:
    estimate = asked.L @ fit.estimate.beta
    variance = np.einsum("ka,ab,kb->k", asked.L, method.covariance, asked.L)
    std_error = np.sqrt(np.maximum(variance, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = (estimate - asked.rhs) / std_error
    columns: dict[str, Column] = {"estimate": estimate, "std_error": std_error}
    if asked.rhs.any():
        columns["rhs"] = asked.rhs
    if not tests:
        columns["statistic"] = statistic
        return ResultTable("Linear hypotheses", asked.labels, columns, method.notes(tests=False))
    df = method.df(asked.L)
    half = t_quantile(level, df) * std_error
    columns |= {"df": df, "statistic": statistic, "p_value": t_tail(statistic, df)}
    columns |= {"lower": estimate - half, "upper": estimate + half}
    notes = (*method.notes(), f"Intervals: {100 * level:g} %, each for itself.")
    return ResultTable("Linear hypotheses", asked.labels, columns, notes)


def _joint(fit: MixedModel, asked: Hypotheses, method: Method, *, tests: bool) -> ResultTable:
    difference = asked.L @ fit.estimate.beta - asked.rhs
    check_consistent(asked, method)
    test = method.f_test(asked.L, difference)
    columns: dict[str, Column] = {"num_df": np.array([test.num_df])}
    if tests:
        columns["den_df"] = np.array([test.den_df])
    columns["f_value"] = np.array([test.f_value])
    if tests:
        columns["p_value"] = np.array([test.p_value])
    notes = list(method.notes(tests=tests))
    if test.num_df < len(asked.L):
        notes.append(
            f"{len(asked.L)} rows, of which only {test.num_df} are linearly independent: the "
            "others follow from them."
        )
    label = ", ".join(_equation(a, b) for a, b in zip(asked.labels, asked.rhs, strict=True))
    if len(label) > 2 * LABEL:
        label = f"{len(asked.L)} hypotheses"
    if test.untested:
        notes.append(TOO_FEW.format(label))
    return ResultTable("Joint test of linear hypotheses", (label,), columns, tuple(notes))


def check_consistent(asked: Hypotheses, method: Method) -> None:
    """Raise OptionError where rows that depend on each other ask for values that contradict."""
    size = np.linalg.norm(asked.L, axis=1)
    L, rhs = asked.L / size[:, None], asked.rhs / size
    values, _ = independent_rows(L, method.model_covariance)
    if values.size == len(L):
        return
    solution = np.linalg.lstsq(L, rhs, rcond=None)[0]
    if np.abs(L @ solution - rhs).max() > _INCONSISTENT * max(1.0, float(np.abs(rhs).max())):
        raise OptionError(
            "contrast: the rows of L depend on each other and their hypothetical values contradict "
            "each other: no coefficients satisfy all of them."
        )


def _equation(label: str, value: float) -> str:
    return f"{label} = {value:g}"
