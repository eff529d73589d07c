"""The tidy numbers behind the pictures: what a picture draws, it draws from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import DataError, OptionError
from mixeff.frames import FactorColumn, NumericColumn, read_columns

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FacetLines:
    """Points and one least-squares line per panel.

    Attributes
    ----------
    points : DataFrame
        Columns ``group``, ``x``, ``y``: one row per observation drawn.
    lines : DataFrame, one row per panel in panel order, index the panel's label
        Columns ``n``, ``intercept``, ``slope``, ``x_min``, ``x_max``. Intercept and slope are NaN
        where a panel has fewer than two different x.
    """

    points: pd.DataFrame
    lines: pd.DataFrame


def facet_lines_data(
    data: Any, x: str, y: str, group: str, *, rows: int | slice | None = None
) -> FacetLines:
    """Points by group and an ordinary least-squares line for each group.

    Parameters
    ----------
    data : data frame
        Anything ``lmer`` takes.
    x, y : str
        Numeric columns.
    group : str
        Column that makes the panels, in the order of its levels.
    rows : int or slice, optional
        The first so many rows, or a slice of the rows; default all.

    Returns
    -------
    FacetLines

    Raises
    ------
    DataError
        ``x`` or ``y`` is not numeric, or no complete row is left.

    Examples
    --------
    >>> import mixeff as mx
    >>> from mixeff import plots
    >>> sleep = mx.load_dataset("sleepstudy")
    >>> plots.facet_lines_data(sleep, "Days", "Reaction", "Subject").lines.shape
    (18, 5)
    """
    import pandas as pd

    columns = read_columns(data, list(dict.fromkeys((x, y, group))))
    xs, ys = _numbers(columns[x]), _numbers(columns[y])
    codes, levels = _panels(columns[group])
    take = np.zeros(len(xs), dtype=bool)
    take[_row_slice(rows)] = True
    take &= np.isfinite(xs) & np.isfinite(ys) & (codes >= 0)
    if not take.any():
        raise DataError(f"No complete row of {x}, {y} and {group} is left to draw.")
    xs, ys, codes = xs[take], ys[take], codes[take]
    present = np.unique(codes)
    names = [levels[code] for code in present]
    lines = pd.DataFrame(
        [_line(xs[codes == code], ys[codes == code]) for code in present],
        index=pd.Index(names, name=group),
        columns=["n", "intercept", "slope", "x_min", "x_max"],
    ).astype({"n": "int64"})
    points = pd.DataFrame({"group": [levels[code] for code in codes], "x": xs, "y": ys})
    return FacetLines(points, lines)


def _row_slice(rows: int | slice | None) -> slice:
    if isinstance(rows, slice):
        return rows
    if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or rows < 1):
        raise OptionError(f"rows must be a number of rows, a slice or None, not {rows!r}.")
    return slice(rows)


def _numbers(column: NumericColumn | FactorColumn) -> Floats:
    if isinstance(column, NumericColumn):
        return np.asarray(column.values, dtype=np.float64)
    raise DataError(f"The column {column.name!r} is not numeric; an axis needs numbers.")


def _panels(column: NumericColumn | FactorColumn) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    if isinstance(column, FactorColumn):
        return column.codes.astype(np.int64), tuple(column.levels)
    known = np.isfinite(column.values)
    values, inverse = np.unique(column.values[known], return_inverse=True)
    codes = np.full(len(column.values), -1, dtype=np.int64)
    codes[known] = inverse
    return codes, tuple(f"{value:g}" for value in values)


def _line(x: Floats, y: Floats) -> tuple[int, float, float, float, float]:
    """Least squares of y on x: (n, intercept, slope, range of x)."""
    centred = x - x.mean()
    spread = float(centred @ centred)
    if spread == 0.0:
        return len(x), np.nan, np.nan, float(x.min()), float(x.max())
    slope = float(centred @ (y - y.mean())) / spread
    return len(x), float(y.mean() - slope * x.mean()), slope, float(x.min()), float(x.max())


def residuals_vs_fitted_data(fit: Any, *, kind: str = "scaled") -> pd.DataFrame:
    """Fitted values and residuals, row by row.

    Parameters
    ----------
    fit : fitted model
    kind : str
        A kind of residual ``fit.residuals`` knows.

    Returns
    -------
    DataFrame
        Columns ``fitted``, ``residual`` (nobs rows, in the order of the data used).

    Examples
    --------
    >>> import mixeff as mx
    >>> from mixeff import plots
    >>> m = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
    >>> plots.residuals_vs_fitted_data(m).shape
    (180, 2)
    """
    import pandas as pd

    return pd.DataFrame(
        {"fitted": np.asarray(fit.fitted), "residual": np.asarray(fit.residuals(kind))}
    )


def running_mean(data: pd.DataFrame) -> pd.DataFrame:
    """Mean residual in classes of about equal count along the fitted values.

    Between 5 and 20 classes, 20 rows or more in each where the data allow it.
    """
    import pandas as pd

    n = len(data)
    n_classes = max(1, min(20, max(5, n // 20), n))
    order = np.argsort(data["fitted"].to_numpy(), kind="stable")
    parts = np.array_split(order, n_classes)
    means = [data.iloc[part][["fitted", "residual"]].mean() for part in parts]
    return pd.DataFrame(means).reset_index(drop=True)


def qq_data(fit: Any, *, kind: str = "scaled") -> pd.DataFrame:
    """Residuals in increasing order and the normal quantiles they should follow.

    The plotting positions are ``(i - a) / (n + 1 - 2a)`` with ``a = 3/8`` up to ten
    observations and ``1/2`` above (Blom 1958), as in R's ``ppoints``.

    Parameters
    ----------
    fit : fitted model
    kind : str
        A kind of residual ``fit.residuals`` knows.

    Returns
    -------
    DataFrame
        Columns ``normal``, ``residual``, in increasing order.

    Examples
    --------
    >>> import mixeff as mx
    >>> from mixeff import plots
    >>> m = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
    >>> bool(plots.qq_data(m)["residual"].is_monotonic_increasing)
    True
    """
    import pandas as pd
    from scipy.special import ndtri

    residual = np.sort(np.asarray(fit.residuals(kind)))
    n = len(residual)
    a = 3 / 8 if n <= 10 else 1 / 2
    normal = ndtri((np.arange(1, n + 1) - a) / (n + 1 - 2 * a))
    return pd.DataFrame({"normal": normal, "residual": residual})


def caterpillar_data(fit: Any, group: str, *, level: float = 0.95) -> pd.DataFrame:
    """Conditional modes of one grouping factor with their intervals.

    The interval is mode -+ z sd, with the conditional standard deviation given theta and beta.

    Parameters
    ----------
    fit : fitted model
    group : str
        A key of ``fit.ranef``.
    level : float
        Coverage of the intervals, between 0 and 1.

    Returns
    -------
    DataFrame
        Columns ``term``, ``level``, ``mode``, ``sd``, ``lower``, ``upper``; term by term, the
        levels in the order of ``fit.ranef``.

    Raises
    ------
    OptionError
        The model has no such grouping factor, or ``level`` is out of range.

    Examples
    --------
    >>> import mixeff as mx
    >>> from mixeff import plots
    >>> m = mx.lmer("travel ~ 1 + (1 | Rail)", mx.load_dataset("Rail"))
    >>> len(plots.caterpillar_data(m, "Rail"))
    6
    """
    import pandas as pd
    from scipy.special import ndtri

    modes_of = fit.ranef
    if group not in modes_of:
        known = ", ".join(modes_of)
        raise OptionError(f"The model has no grouping factor {group!r}; it has {known}.")
    if not 0 < level < 1:
        raise OptionError(f"level must lie between 0 and 1, not {level!r}.")
    modes = modes_of[group]
    variances = np.asarray(fit.ranef_variance[group])
    reach = float(ndtri((1 + level) / 2))
    parts = []
    for j, term in enumerate(modes.columns):
        mode = modes[term].to_numpy()
        sd = np.sqrt(variances[:, j, j])
        part = {"term": term, "level": modes.index.astype(str), "mode": mode, "sd": sd}
        parts.append(pd.DataFrame(part | {"lower": mode - reach * sd, "upper": mode + reach * sd}))
    return pd.concat(parts, ignore_index=True)
