"""One ordinary least-squares fit per group, to compare a mixed model with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from mixeff.design.build import build_design
from mixeff.design.design import Design
from mixeff.design.rank import independent_columns
from mixeff.errors import DesignError, FormulaError
from mixeff.formula import deparse, parse_expression, parse_formula
from mixeff.formula.tree import Binary, Expression, Parenthesis
from mixeff.frames.columns import open_frame
from mixeff.model.options import check_level, refuse_unknown

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_ARGUMENTS = ("formula", "data", "weights", "offset", "contrasts", "na_action")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LmList:
    """Ordinary least-squares fits of one formula within every group.

    Attributes
    ----------
    formula : str
    group : str, grouping factor
    levels : tuple of J str
    names : tuple of p str, coefficient names
    estimate : (J, p) array
        NaN for a coefficient the group's rows do not determine.
    unscaled : (J, p) array, square roots of the diagonal of (X'WX)^-1 per group
    sigmas : (J,) array, residual standard deviation of each group, NaN without degrees of freedom
    nobs, rank : (J,) int arrays
    sigma : float, pooled residual standard deviation
    notes : tuple of str, groups too small and what that means
    """

    formula: str
    group: str
    levels: tuple[str, ...]
    names: tuple[str, ...]
    estimate: Floats
    unscaled: Floats
    sigmas: Floats
    nobs: Integers
    rank: Integers
    sigma: float
    notes: tuple[str, ...] = field(default=())

    @property
    def df_residual(self) -> int:
        """Residual degrees of freedom of all groups together."""
        return int(np.sum(self.nobs - self.rank))

    @property
    def group_df(self) -> pd.Series[int]:
        """Residual degrees of freedom of each group."""
        import pandas as pd

        return pd.Series(self.nobs - self.rank, index=list(self.levels))

    @property
    def coefficients(self) -> pd.DataFrame:
        """Estimates: groups x coefficients."""
        return self._frame(self.estimate)

    @property
    def coef(self) -> pd.DataFrame:
        """The same as ``coefficients``, under lme4's name."""
        return self.coefficients

    @property
    def stderr(self) -> pd.DataFrame:
        """Standard errors from the pooled residual variance: groups x coefficients."""
        return self._frame(self.sigma * self.unscaled)

    def to_frame(self) -> pd.DataFrame:
        """One row per group and coefficient: ``estimate, std_error, df, statistic``.

        Standard errors and degrees of freedom are the pooled ones.
        """
        import pandas as pd

        index = pd.MultiIndex.from_product(
            [list(self.levels), list(self.names)], names=[self.group, "coefficient"]
        )
        estimate = self.estimate.ravel()
        std_error = (self.sigma * self.unscaled).ravel()
        return pd.DataFrame(
            {
                "estimate": estimate,
                "std_error": std_error,
                "df": self.df_residual,
                "statistic": estimate / std_error,
            },
            index=index,
        )

    def confint(self, level: float = 0.95, *, pooled: bool = False) -> pd.DataFrame:
        """Confidence intervals: columns ``lower, upper``; one row per group and coefficient.

        Parameters
        ----------
        level : float
            Between 0 and 1.
        pooled : bool
            Use the pooled residual variance; by default each group its own, as R does.
        """
        import pandas as pd
        from scipy.special import stdtrit

        check_level("confint", level)
        df = np.where(pooled, self.df_residual, self.nobs - self.rank).astype(float)
        sigma = np.where(pooled, self.sigma, self.sigmas)
        quantile = np.full(df.shape, np.nan)
        quantile[df > 0] = stdtrit(df[df > 0], 0.5 + level / 2)
        half = (quantile * sigma)[:, None] * self.unscaled
        index = pd.MultiIndex.from_product(
            [list(self.levels), list(self.names)], names=[self.group, "coefficient"]
        )
        bounds = {
            "lower": (self.estimate - half).ravel(),
            "upper": (self.estimate + half).ravel(),
        }
        return pd.DataFrame(bounds, index=index)

    def _frame(self, values: Floats) -> pd.DataFrame:
        import pandas as pd

        index = pd.Index(list(self.levels), dtype=object)
        return pd.DataFrame(values.copy(), index=index, columns=list(self.names))

    def __str__(self) -> str:
        lines = [
            f"Least-squares fits of {self.formula}",
            "Coefficients:",
            self.coefficients.to_string(),
            "",
            f"Degrees of freedom: {int(self.nobs.sum())} total; {self.df_residual} residual",
            f"Residual standard error: {self.sigma:.7g}",
            *self.notes,
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


def lm_list(
    formula: str,
    data: Any,
    *,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    na_action: str = "omit",
    **unknown: Any,
) -> LmList:
    """Fit ``y ~ x | g``: the linear model ``y ~ x`` by least squares in every group of ``g``.

    Parameters
    ----------
    formula : str
        ``"Reaction ~ Days | Subject"``.
    data, weights, offset, contrasts, na_action
        As for `lmer`.

    Returns
    -------
    LmList
        ``.coefficients``, ``.stderr``, ``.sigma`` (pooled), ``.to_frame()``, ``.confint()``.

    Raises
    ------
    FormulaError
        The formula is not of the form ``y ~ x | g``.
    DesignError
        No group has more rows than coefficients, so that there is no residual variance.

    Notes
    -----
    The model matrix is made once from all rows: bases such as ``poly(x, 2)`` and the coding of
    factors are the same in all groups, so that coefficients can be compared. A coefficient the
    rows of a group do not determine (too few rows, a factor level that does not occur) is NaN.

    Examples
    --------
    >>> import mixeff as mx
    >>> fits = mx.lm_list("Reaction ~ Days | Subject", mx.load_dataset("sleepstudy"))
    >>> fits.coefficients.loc["308"].round(2).to_dict()
    {'(Intercept)': 244.19, 'Days': 21.76}
    >>> round(fits.sigma, 2)
    25.59
    """
    refuse_unknown("lm_list", unknown, _ARGUMENTS)
    text = with_random_intercept(formula)
    frame = open_frame(data)
    parsed = parse_formula(text, columns=frame.names())
    if len(parsed.random) != 1:
        raise FormulaError(f"lm_list takes one grouping factor without nesting: {formula}")
    design = build_design(
        parsed, frame, weights=weights, offset=offset, contrasts=contrasts, na_action=na_action
    )
    return fit_groups(design, formula)


def with_random_intercept(formula: str) -> str:
    """``y ~ x | g`` written as the mixed model ``y ~ x + (1 | g)``, which has the same design.

    Raises
    ------
    FormulaError
        The formula has another form.
    """
    tree = parse_expression(formula)
    if not (isinstance(tree, Binary) and tree.operator == "~"):
        raise _not_of_the_form(formula)
    split = _unwrapped(tree.right)
    if not (isinstance(split, Binary) and split.operator == "|"):
        raise _not_of_the_form(formula)
    response, fixed, group = deparse(tree.left), deparse(split.left), deparse(split.right)
    return f"{response} ~ {fixed} + (1 | {group})"


def _unwrapped(expression: Expression) -> Expression:
    while isinstance(expression, Parenthesis):
        expression = expression.inner
    return expression


def _not_of_the_form(formula: str) -> FormulaError:
    return FormulaError(
        f"lm_list needs a formula of the form y ~ x | g, as in "
        f'"Reaction ~ Days | Subject", not: {formula}'
    )


def fit_groups(design: Design, formula: str) -> LmList:
    """Least squares within every level of the design's first random term."""
    term = design.random[0]
    order = np.argsort(term.codes, kind="stable")
    ends = np.cumsum(np.bincount(term.codes, minlength=term.n_levels))[:-1]
    rows = np.split(order, ends)
    y = design.response if design.offset is None else design.response - design.offset
    root = np.ones(design.n) if design.weights is None else np.sqrt(design.weights)
    intercept = design.names[:1] == ("(Intercept)",)
    fits = []
    for r in rows:
        kept = independent_columns(design.X[r], intercept=intercept, constant_in_span=intercept)
        fits.append(_least_squares(design.X[r] * root[r, None], y[r] * root[r], kept))
    estimate, unscaled, rss, rank = (np.array(part) for part in zip(*fits, strict=True))
    nobs = np.array([r.size for r in rows])
    df = nobs - rank
    if df.sum() == 0:
        raise DesignError(
            f"No group of {term.group} has more rows than coefficients ({len(design.names)}): "
            "there is no residual variance. Use a smaller formula or a mixed model."
        )
    sigmas = np.full(len(rows), np.nan)
    sigmas[df > 0] = np.sqrt(rss[df > 0] / df[df > 0])
    return LmList(
        formula=formula,
        group=term.group,
        levels=tuple(term.levels),
        names=design.names,
        estimate=estimate,
        unscaled=unscaled,
        sigmas=sigmas,
        nobs=nobs,
        rank=rank,
        sigma=float(np.sqrt(rss.sum() / df.sum())),
        notes=_notes(design, rank, df),
    )


def _notes(design: Design, rank: Integers, df: Integers) -> tuple[str, ...]:
    term, p = design.random[0], len(design.names)
    notes = list(design.notes)
    undetermined = [level for level, r in zip(term.levels, rank, strict=True) if r < p]
    if undetermined:
        notes.append(
            f"Not all coefficients are determined (NaN) in {len(undetermined)} of "
            f"{term.n_levels} groups: {_some(undetermined)}."
        )
    exact = [level for level, d in zip(term.levels, df, strict=True) if d == 0]
    if exact:
        notes.append(
            f"No residual degrees of freedom in {len(exact)} of {term.n_levels} groups: "
            f"{_some(exact)}."
        )
    return tuple(notes)


def _some(levels: list[str], most: int = 5) -> str:
    return ", ".join(levels[:most]) + (", ..." if len(levels) > most else "")


def _least_squares(
    X: Floats, y: Floats, kept: NDArray[np.intp]
) -> tuple[Floats, Floats, float, int]:
    """Coefficients, root diagonal of (X'X)^-1, residual sum of squares, rank."""
    p = X.shape[1]
    estimate, unscaled = np.full(p, np.nan), np.full(p, np.nan)
    q, r = scipy.linalg.qr(X[:, kept], mode="economic")
    effects = q.T @ y
    estimate[kept] = scipy.linalg.solve_triangular(r, effects)
    inverse = scipy.linalg.solve_triangular(r, np.eye(len(kept)))
    unscaled[kept] = np.linalg.norm(inverse, axis=1)
    rest = y - q @ effects
    # As many rows as coefficients: what is left is rounding, not variance.
    rss = float(rest @ rest) if X.shape[0] > len(kept) else 0.0
    return estimate, unscaled, rss, len(kept)
