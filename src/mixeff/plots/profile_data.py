"""The numbers behind the pictures of profiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mixeff.errors import OptionError
from mixeff.inference.profile import Profile
from mixeff.model.options import shown

if TYPE_CHECKING:
    import pandas as pd


def profile_of(fit: Any, parameters: str | Sequence[str] | None) -> Profile:
    """The profile itself, or that of a fit."""
    if isinstance(fit, Profile):
        return fit
    if not hasattr(fit, "profile"):
        raise OptionError(f"Profiles are of a fitted model, or its m.profile(), not {shown(fit)}.")
    return cast(Profile, fit.profile(parameters))


def profile_zeta_data(
    fit: Any, parameters: str | Sequence[str] | None = None, *, n: int = 201
) -> pd.DataFrame:
    """The zeta curves of a profile.

    Parameters
    ----------
    fit : Profile or fitted model
    parameters : str or sequence of str, optional
    n : int, points per curve

    Returns
    -------
    pandas.DataFrame
        Columns ``parameter, value, zeta``.

    Examples
    --------
    >>> import mixeff as mx
    >>> from mixeff import plots
    >>> m = mx.lmer("travel ~ 1 + (1 | Rail)", mx.load_dataset("Rail"), reml=False)
    >>> plots.profile_zeta_data(m).columns.tolist()
    ['parameter', 'value', 'zeta']
    """
    import pandas as pd

    profile = profile_of(fit, parameters)
    parts = {}
    for name in profile.shown(parameters):
        curve = profile.curve(name)
        values = curve.grid(n)
        parts[name] = pd.DataFrame({"value": values, "zeta": curve.at(values)})
    return _stacked(parts, "zeta")


def profile_density_data(
    fit: Any, parameters: str | Sequence[str] | None = None, *, n: int = 201
) -> pd.DataFrame:
    """The densities that make every zeta standard normal.

    Parameters
    ----------
    fit : Profile or fitted model
    parameters : str or sequence of str, optional
    n : int, points per curve

    Returns
    -------
    pandas.DataFrame
        Columns ``parameter, value, density``.

    Examples
    --------
    >>> import mixeff as mx
    >>> from mixeff import plots
    >>> m = mx.lmer("travel ~ 1 + (1 | Rail)", mx.load_dataset("Rail"), reml=False)
    >>> plots.profile_density_data(m, "sigma", n=50).shape
    (50, 3)
    """
    profile = profile_of(fit, parameters)
    parts = {name: profile.density(name, n) for name in profile.shown(parameters)}
    return _stacked(parts, "density")


def _stacked(parts: dict[str, pd.DataFrame], height: str) -> pd.DataFrame:
    """The curves one below the other, the parameter's name in the first column."""
    import pandas as pd

    if not parts:
        return pd.DataFrame({"parameter": [], "value": [], height: []})
    frame = pd.concat(list(parts.values()), ignore_index=True)
    frame.insert(0, "parameter", [name for name, own in parts.items() for _ in range(len(own))])
    return frame


def profile_pairs_data(
    fit: Any,
    parameters: Sequence[str] | None = None,
    *,
    levels: Sequence[float] = (0.5, 0.8, 0.9, 0.95, 0.99),
    n: int = 101,
) -> pd.DataFrame:
    """Profile traces and contours of joint regions of every pair; see ``Profile.pairs``.

    Parameters
    ----------
    fit : Profile or fitted model
    parameters : sequence of str, optional
    levels : sequence of float
    n : int, points per contour

    Examples
    --------
    >>> import mixeff as mx
    >>> from mixeff import plots
    >>> m = mx.lmer("travel ~ 1 + (1 | Rail)", mx.load_dataset("Rail"), reml=False)
    >>> plots.profile_pairs_data(m, levels=[0.5])["kind"].unique().tolist()
    ['trace', 'contour']
    """
    profile = profile_of(fit, parameters)
    return profile.pairs(profile.shown(parameters), levels, n)


def limits(frame: pd.DataFrame, column: str) -> tuple[float, float]:
    """Range of a column without its missing values."""
    values = frame[column].to_numpy()
    values = values[np.isfinite(values)]
    return float(values.min()), float(values.max())
