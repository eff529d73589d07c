"""The table of variance components, as lme4 lays it out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mixeff.report.layout import text_matrix
from mixeff.report.numbers import format_column, round_decimals

if TYPE_CHECKING:
    from mixeff.model.varcorr import VarCorr, VarianceComponent


def variance_lines(varcorr: VarCorr, *, digits: int, variances: bool = True) -> list[str]:
    """Lines of the table, every one with a blank before it.

    Parameters
    ----------
    varcorr : VarCorr
    digits : int
        Significant digits of variances and standard deviations; correlations get two decimals
        fewer than that.
    variances : bool
        With the column ``Variance``; without it standard deviations alone.
    """
    headings, cells = variance_cells(varcorr, digits=digits, variances=variances)
    return text_matrix([""] * len(cells), headings, cells, right=False)


def variance_cells(
    varcorr: VarCorr, *, digits: int, variances: bool = True
) -> tuple[list[str], list[list[str]]]:
    """Headings and texts of the table, row by row."""
    components = varcorr.components
    sd = [float(s) for c in components for s in c.sd]
    groups = [c.name if i == 0 else "" for c in components for i in range(len(c.columns))]
    names = [name for c in components for name in c.columns]
    if varcorr.residual_sd is not None:
        sd.append(float(varcorr.residual_sd))
        groups.append("Residual")
        names.append("")
    headings = ["Groups", "Name", "Std.Dev."]
    columns = [groups, names, format_column(sd, digits)]
    if variances:
        headings.insert(2, "Variance")
        columns.insert(2, format_column([s * s for s in sd], digits))
    cells = [list(row) for row in zip(*columns, strict=True)]
    return _with_correlations(headings, cells, components, digits - 2)


def _with_correlations(
    headings: list[str],
    cells: list[list[str]],
    components: Sequence[VarianceComponent],
    decimals: int,
) -> tuple[list[str], list[list[str]]]:
    """Append the columns of correlations, as many as the largest term needs."""
    count = max((len(c.columns) for c in components), default=1) - 1
    if count < 1:
        return headings, cells
    added = [row for c in components for row in _correlation_rows(c, decimals)]
    added += [[]] * (len(cells) - len(added))
    rows = [
        [*cell, *row, *[""] * (count - len(row))] for cell, row in zip(cells, added, strict=True)
    ]
    return [*headings, "Corr", *[""] * (count - 1)], rows


def _correlation_rows(component: VarianceComponent, decimals: int) -> list[list[str]]:
    """Per effect of one term its correlations with the effects before it, formatted together."""
    q = len(component.columns)
    matrix = np.asarray(component.correlation, dtype=float)
    rounded = round_decimals(matrix.ravel().tolist(), max(2, decimals))
    texts = format_column(rounded, decimals + 2, decimals=max(2, decimals))
    return [texts[i * q : i * q + i] for i in range(q)]
