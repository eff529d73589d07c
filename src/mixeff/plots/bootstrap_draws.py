"""The draws of a bootstrap: where the replicates of each statistic lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mixeff.errors import OptionError
from mixeff.inference.bootstrap import Bootstrap
from mixeff.model.options import closest
from mixeff.plots.figure import LINE, POINT, panel_grid, tidy_axes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def bootstrap_draws_data(
    fit: Any, parameters: str | Sequence[str] | None = None, *, bins: int | None = None
) -> pd.DataFrame:
    """Histograms of the draws of a bootstrap.

    Parameters
    ----------
    fit : Bootstrap or fitted model
        A fitted model is bootstrapped first (1,000 replicates).
    parameters : str or sequence of str, optional
        Statistics to show; all if not given.
    bins : int, optional
        Intervals of each histogram; by the rule of Freedman and Diaconis (1981) if not given.

    Returns
    -------
    pandas.DataFrame
        Columns ``parameter, left, right, count``. Replicates that failed or in which a statistic
        does not exist are not counted.

    Raises
    ------
    OptionError
        No such statistic, or bins no positive whole number.

    Examples
    --------
    >>> import mixeff as mx
    >>> from mixeff import plots
    >>> m = mx.lmer("travel ~ 1 + (1 | Rail)", mx.load_dataset("Rail"))
    >>> numbers = plots.bootstrap_draws_data(m.bootstrap(200, seed=1), "sigma", bins=10)
    >>> numbers.shape, int(numbers["count"].sum())
    ((10, 4), 200)
    """
    import pandas as pd

    bootstrap = _bootstrap_of(fit)
    whole = isinstance(bins, int) and not isinstance(bins, bool)
    if bins is not None and not (whole and bins > 0):
        raise OptionError(f"bootstrap_draws: bins must be a positive whole number, not {bins!r}.")
    parts = []
    for name in _shown(bootstrap, parameters):
        draws = bootstrap.draws[:, bootstrap.names.index(name)]
        draws = draws[np.isfinite(draws)]
        counts, edges = np.histogram(draws, bins="fd" if bins is None else bins)
        columns = {"left": edges[:-1], "right": edges[1:], "count": counts}
        parts.append(pd.DataFrame({"parameter": name, **columns}))
    return pd.concat(parts, ignore_index=True)


def bootstrap_draws(
    fit: Any,
    parameters: str | Sequence[str] | None = None,
    *,
    level: float = 0.95,
    method: str = "percentile",
    bins: int | None = None,
) -> Figure:
    """Draw a histogram of the replicates of every statistic.

    A line marks the estimate, the darker part the confidence interval. Standard deviations that
    many replicates put at zero, and correlations at -1 or 1, show as a column of their own.

    Parameters
    ----------
    fit : Bootstrap or fitted model
        A fitted model is bootstrapped first (1,000 replicates).
    parameters : str or sequence of str, optional
        Statistics to show; all if not given.
    level : float
        Of the interval.
    method : str
        Kind of interval, as ``Bootstrap.confint`` takes it.
    bins : int, optional
        Intervals of each histogram.

    Returns
    -------
    matplotlib.figure.Figure

    See Also
    --------
    bootstrap_draws_data : the numbers drawn.

    Examples
    --------
    >>> import mixeff as mx
    >>> from mixeff import plots
    >>> m = mx.lmer("travel ~ 1 + (1 | Rail)", mx.load_dataset("Rail"))
    >>> picture = plots.bootstrap_draws(m.bootstrap(200, seed=1))
    """
    bootstrap = _bootstrap_of(fit)
    names = _shown(bootstrap, parameters)
    numbers = bootstrap_draws_data(bootstrap, names, bins=bins)
    bounds = bootstrap.confint(level, method).to_frame()
    figure, panels = panel_grid(len(names), 2.2)
    for axes, name in zip(panels, names, strict=False):
        tidy_axes(axes)
        own = numbers[numbers["parameter"] == name]
        left, right, count = (own[c].to_numpy() for c in ("left", "right", "count"))
        axes.bar(left, count, right - left, align="edge", color=POINT, alpha=0.35, lw=0)
        low, high = bounds.loc[name].to_numpy()
        start, end = np.clip(left, low, high), np.clip(right, low, high)
        axes.bar(start, count, end - start, align="edge", color=POINT, alpha=0.65, lw=0)
        axes.axvline(bootstrap.estimate[bootstrap.names.index(name)], color=LINE, lw=1.4)
        axes.set_yticks([])
        axes.set_title(name, fontsize=9)
    return figure


def _bootstrap_of(fit: Any) -> Bootstrap:
    """The bootstrap itself, or that of a fit."""
    if isinstance(fit, Bootstrap):
        return fit
    made: Bootstrap = fit.bootstrap(1000)
    return made


def _shown(bootstrap: Bootstrap, parameters: str | Sequence[str] | None) -> list[str]:
    """The statistics asked for."""
    if parameters is None:
        return list(bootstrap.names)
    names = [parameters] if isinstance(parameters, str) else list(parameters)
    for name in names:
        if name not in bootstrap.names:
            near = closest(name, bootstrap.names)
            hint = f'Did you mean "{near}"?' if near else f"There are {', '.join(bootstrap.names)}."
            raise OptionError(f"bootstrap_draws: there are no draws of {name!r}. {hint}")
    return names
