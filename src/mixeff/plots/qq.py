"""Normal quantile plot of the residuals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixeff.plots.data import qq_data
from mixeff.plots.figure import LINE, POINT, new_figure, tidy_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def qq(fit: Any, *, kind: str = "scaled") -> Figure:
    """Draw the residuals against the quantiles of a normal distribution.

    The line goes through the quartiles; normal residuals lie along it.

    Parameters
    ----------
    fit : fitted model
    kind : str
        A kind of residual ``fit.residuals`` knows; ``"scaled"`` is in residual SDs.

    Returns
    -------
    matplotlib.figure.Figure

    See Also
    --------
    qq_data : the numbers drawn.

    Examples
    --------
    >>> import mixeff as mx
    >>> from mixeff import plots
    >>> m = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
    >>> picture = plots.qq(m)
    """
    numbers = qq_data(fit, kind=kind)
    intercept, slope = quartile_line(numbers)
    figure = new_figure(4.6, 4.2)
    axes = figure.add_subplot()
    tidy_axes(axes)
    axes.axline((0, intercept), slope=slope, color=LINE, lw=1.6)
    axes.plot(numbers["normal"], numbers["residual"], "o", ms=3, mfc="none", mec=POINT, mew=0.8)
    axes.set_xlabel("Normal quantile")
    axes.set_ylabel("Scaled residual" if kind == "scaled" else f"{kind.capitalize()} residual")
    return figure


def quartile_line(numbers: pd.DataFrame) -> tuple[float, float]:
    """Intercept and slope of the line through the quartiles of residuals and normal."""
    from scipy.special import ndtri

    low, high = np.quantile(numbers["residual"], [0.25, 0.75])
    left, right = ndtri([0.25, 0.75])
    slope = float((high - low) / (right - left))
    return float(low - slope * left), slope
