"""Residuals against fitted values: is the spread even, is the mean zero everywhere?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixeff.plots.data import residuals_vs_fitted_data, running_mean
from mixeff.plots.figure import GREY, LINE, POINT, new_figure, tidy_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def residuals_vs_fitted(fit: Any, *, kind: str = "scaled") -> Figure:
    """Draw the residuals of a fit against its fitted values.

    The line joins the mean residuals of classes of equal count along the fitted values; in a
    model that fits it stays near zero.

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
    residuals_vs_fitted_data : the numbers drawn.

    Examples
    --------
    >>> import mixeff as mx
    >>> from mixeff import plots
    >>> m = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
    >>> picture = plots.residuals_vs_fitted(m)
    """
    numbers = residuals_vs_fitted_data(fit, kind=kind)
    means = running_mean(numbers)
    figure = new_figure(6.0, 4.0)
    axes = figure.add_subplot()
    tidy_axes(axes)
    axes.axhline(0, color=GREY, lw=0.9)
    # Many points: smaller and paler, so that their density shows.
    many = len(numbers) > 1000
    axes.plot(
        numbers["fitted"],
        numbers["residual"],
        "o",
        ms=2.4 if many else 4,
        mfc="none",
        mec=POINT,
        mew=0.7,
        alpha=0.45 if many else 0.9,
    )
    axes.plot(means["fitted"], means["residual"], color=LINE, lw=1.8, label="running mean")
    axes.set_xlabel("Fitted value")
    axes.set_ylabel("Scaled residual" if kind == "scaled" else f"{kind.capitalize()} residual")
    axes.legend(fontsize=8, loc="best", framealpha=0.9)
    return figure
