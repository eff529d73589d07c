"""The block "Correlation of Fixed Effects"."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mixeff.report.abbreviation import abbreviate
from mixeff.report.layout import text_matrix
from mixeff.report.numbers import format_column, round_decimals

Floats = NDArray[np.float64]

MOST_SHOWN = 12  # coefficients up to which lme4 shows the block unasked
ROW_LENGTH = 11
COLUMN_LENGTH = 6
DECIMALS = 3


def correlation_lines(names: Sequence[str], correlation: Floats) -> list[str]:
    """The lower triangle with abbreviated names, first row and last column left out.

    Parameters
    ----------
    names : sequence of p str, p at least 2
    correlation : (p, p) array
    """
    p = len(names)
    cells = correlation_cells(correlation)
    lower = [[cells[i][j] if j < i else "" for j in range(p - 1)] for i in range(1, p)]
    rows = abbreviate(names, ROW_LENGTH)[1:]
    return text_matrix(rows, abbreviate(names, COLUMN_LENGTH)[:-1], lower, right=False)


def correlation_cells(correlation: Floats) -> list[list[str]]:
    """All entries with three decimals, of one width."""
    p = correlation.shape[0]
    rounded = round_decimals(correlation.ravel().tolist(), DECIMALS)
    texts = format_column(rounded, decimals=DECIMALS)
    return [texts[i * p : (i + 1) * p] for i in range(p)]


def correlation_of(covariance: Floats) -> Floats:
    """Correlation matrix of a covariance matrix; NaN where a variance is zero."""
    sd = np.sqrt(np.diag(covariance))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(covariance / np.outer(sd, sd))


def hidden_note(p: int) -> str:
    """Why the block is missing, and how to see it."""
    return (
        f"Correlation matrix not shown by default, as p = {p} > {MOST_SHOWN}. "
        "summary(correlation=True) shows it; vcov holds the covariances."
    )
