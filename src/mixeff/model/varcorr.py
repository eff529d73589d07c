"""Variance components of a fitted model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from mixeff.design.design import Design

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class VarianceComponent:
    """Covariance of one random term's effects.

    Attributes
    ----------
    name : str
        Grouping factor; the second term on the same one is ``class.1``, as in lme4.
    group : str
        Grouping factor.
    columns : tuple of q str
    covariance : (q, q) array, sigma^2 Lambda Lambda'
    sd : (q,) array
    correlation : (q, q) array, NaN where a standard deviation is zero
    """

    name: str
    group: str
    columns: tuple[str, ...]
    covariance: Floats
    sd: Floats
    correlation: Floats


@dataclass(frozen=True, slots=True)
class VarCorr:
    """Variances and correlations of the random effects, and the residual's; prints as lme4's.

    Attributes
    ----------
    components : tuple of VarianceComponent, in the order of the random terms
    residual_sd : float or None
        None where the family has no scale parameter.
    """

    components: tuple[VarianceComponent, ...]
    residual_sd: float | None

    def to_frame(self) -> pd.DataFrame:
        """Columns ``grp, var1, var2, vcov, sdcor``, in the order of lme4's ``as.data.frame``.

        Per term the variances, then the covariances down the columns of the lower triangle, at
        last the residual; ``sdcor`` holds standard deviations and correlations. Missing names are
        None.
        """
        import pandas as pd

        rows = [row for component in self.components for row in _rows(component)]
        if self.residual_sd is not None:
            rows.append(("Residual", None, None, self.residual_sd**2, self.residual_sd))
        grp, var1, var2, vcov, sdcor = zip(*rows, strict=True)
        # Text as objects: pandas' own string type would turn None into NaN.
        return pd.DataFrame(
            {
                "grp": pd.Series(grp, dtype=object),
                "var1": pd.Series(var1, dtype=object),
                "var2": pd.Series(var2, dtype=object),
                "vcov": np.array(vcov),
                "sdcor": np.array(sdcor),
            }
        )

    def __str__(self) -> str:
        from mixeff.report.tables import format_varcorr

        return format_varcorr(self)

    def _repr_html_(self) -> str:
        from mixeff.report.html import varcorr_html

        return varcorr_html(self)

    def __repr__(self) -> str:
        return str(self)


# R's reserved words (?Reserved).
_WORDS = "if else repeat while function for next break in"
_CONSTANTS = "TRUE FALSE NULL Inf NaN NA NA_integer_ NA_real_ NA_complex_ NA_character_"
RESERVED = frozenset(f"{_WORDS} {_CONSTANTS}".split())

Row = tuple[str, str | None, str | None, float, float]


def _rows(component: VarianceComponent) -> list[Row]:
    q = len(component.columns)
    name, columns = component.name, component.columns
    rows: list[Row] = [
        (name, columns[j], None, float(component.covariance[j, j]), float(component.sd[j]))
        for j in range(q)
    ]
    for j in range(q):
        for i in range(j + 1, q):
            covariance, correlation = component.covariance[i, j], component.correlation[i, j]
            rows.append((name, columns[j], columns[i], float(covariance), float(correlation)))
    return rows


def variance_components(
    design: Design, Lambda: Sequence[Floats], *, scale: float, residual_sd: float | None
) -> VarCorr:
    """Sigma_i = scale^2 Lambda_i Lambda_i' (Bates et al. 2015, eq. 4) of every random term."""
    names = printed_names([term.group for term in design.random])
    components = []
    for name, term, factor in zip(names, design.random, Lambda, strict=True):
        scaled = scale * factor
        # Row norms of the factor: exact where the variance underflows a subtraction.
        sd = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))
        with np.errstate(divide="ignore", invalid="ignore"):
            direction = scaled / sd[:, None]
        correlation = direction @ direction.T
        np.fill_diagonal(correlation, np.where(sd > 0, 1.0, np.nan))
        components.append(
            VarianceComponent(name, term.group, term.columns, scaled @ scaled.T, sd, correlation)
        )
    return VarCorr(tuple(components), residual_sd)


def printed_names(groups: Sequence[str]) -> list[str]:
    """The names under which lme4 prints the terms: the groups, unless one stands there twice.

    Then they go through R's ``make.names(unique = TRUE)``, all of them: ``b:a`` becomes ``b.a``.
    """
    if len(set(groups)) == len(groups):
        return list(groups)
    return unique_names([syntactic_name(group) for group in groups])


def syntactic_name(name: str) -> str:
    """R's ``make.names``: what is no letter, digit, dot or underscore becomes a dot."""
    name = re.sub(r"[^\w.]", ".", name)
    # A name starts with a letter, or with a dot that no digit follows.
    if not re.match(r"[^\W\d_]|\.(?!\d)", name):
        name = f"X{name}"
    return f"{name}." if name in RESERVED else name


def unique_names(names: Sequence[str]) -> list[str]:
    """Later occurrences get ``.1``, ``.2`` ..., skipping names already there (R's make.unique)."""
    taken = set(names)
    seen: set[str] = set()
    count: dict[str, int] = {}
    result = []
    for name in names:
        new = name
        while new in seen or (new != name and new in taken):
            count[name] = count.get(name, 0) + 1
            new = f"{name}.{count[name]}"
        seen.add(new)
        result.append(new)
    return result
