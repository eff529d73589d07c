"""The compiled pass over the rows of one response: what it leaves out, and when there is one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.generalized.families.special import digamma_gap, log_factorial, stirling_remainder
from mixeff.generalized.families.user_link import UserLink
from mixeff.generalized.kernels import has_pass, row_pass

if TYPE_CHECKING:
    from mixeff.generalized.families.base import LinkedFamily

Floats = NDArray[np.float64]

#: What a pass can write, in the kernel's order; each level writes what comes before its end.
PARTS = (
    "loglik",
    "score",
    "weight",
    "weight_slope",
    "loglik_r",
    "score_r",
    "weight_r",
    "weight_curvature",
    "loglik_rr",
    "score_rr",
    "weight_rr",
    "weight_slope_r",
)
_ENDS = (1, 3, 7, 12)
_NONE = np.empty(0)
# Above, y eta - exp(eta) loses more than 1e-10 of a log-likelihood: the twin's form does not.
_LARGEST_COUNT = 100_000.0


@dataclass(frozen=True, slots=True)
class RowSums:
    """Sums over the rows, with all constants.

    Attributes
    ----------
    loglik : float; -inf if a row's predictor has no valid mean
    loglik_r, loglik_rr : float
        Derivatives with respect to log dispersion; zero where the pass did not go that far.
    """

    loglik: float
    loglik_r: float
    loglik_rr: float


@dataclass(frozen=True, slots=True)
class RowPass:
    """One response ready for compiled passes; made by ``family.compiled(y, weights)``.

    Attributes
    ----------
    family, link : str, the kernel's names
    y : (n,) array
    weights : (n,) array, or an empty one
    threads : int; no digit of the results depends on it
    top : int, the largest count
    """

    family: str
    link: str
    y: Floats
    weights: Floats
    threads: int
    top: int
    _base: list[tuple[float, float]] = field(default_factory=list, repr=False)

    def fill(
        self,
        eta: Floats,
        dispersion: float = 1.0,
        *,
        into: Mapping[str, Floats] | None = None,
        expected: bool = False,
        level: int | None = None,
    ) -> RowSums:
        """Write parts of every row into arrays of the caller; return the sums.

        Parameters
        ----------
        eta : (n,) float64 array, C-contiguous
        dispersion : float, ignored by binomial and Poisson
        into : name of a field of ``RowTerms`` -> (n,) float64 array to fill. ``loglik``,
            ``loglik_r`` and ``loglik_rr`` lack the rows' share of ``constants``.
        expected : bool, expected instead of observed information in ``weight...``
        level : int, optional
            0: log-likelihood; 1: score and weight; 2: slope of the weight and first derivatives
            in log dispersion; 3: everything. The least that ``into`` needs if left out.
        """
        wanted = dict(into or {})
        last = max((PARTS.index(name) for name in wanted), default=0)
        least = next(i for i, end in enumerate(_ENDS) if last < end)
        out = [wanted.get(name, _NONE) for name in PARTS]
        depth = least if level is None else level
        sums = row_pass(
            self.family,
            self.link,
            self.y,
            eta,
            self.weights,
            float(dispersion),
            expected,
            self.top,
            depth,
            out,
            self.threads,
        )
        fixed = self.constants(dispersion)
        loglik = sums[0] + fixed[0]
        return RowSums(
            -math.inf if math.isnan(loglik) else loglik,
            sums[1] + fixed[1] if depth >= 2 else 0.0,
            sums[2] + fixed[2] if depth >= 3 else 0.0,
        )

    def constants(self, dispersion: float = 1.0) -> tuple[float, float, float]:
        """What no eta changes, summed over the rows, and its derivatives in log dispersion."""
        if not self._base:
            self._base.append(_fixed(self))
        fixed, rows = self._base[0]
        if self.family in ("gaussian", "inverse_gaussian"):
            spread = 0.5 * rows * math.log(2.0 * math.pi * dispersion)
            return fixed - spread, -0.5 * rows, 0.0
        if self.family == "gamma":
            value, first, second = _gamma_constants(self.weights, self.y.size, dispersion)
            return fixed + value, first, second
        return fixed, 0.0, 0.0


def compiled_pass(
    family: LinkedFamily, y: Floats, weights: Floats | None, threads: int
) -> RowPass | None:
    """The compiled pass of this family and link for this response, or None: use ``row_terms``."""
    kernel, link = family.kernel, family.link
    if isinstance(link, UserLink) or not has_pass(kernel, link.name):
        return None
    top = 0
    if kernel in ("poisson", "negative_binomial", "negative_binomial1"):
        largest = float(y.max(initial=0.0))
        whole = kernel == "poisson" or bool((y == np.floor(y)).all())
        if not largest <= _LARGEST_COUNT or not whole or y.min(initial=0.0) < 0:
            return None
        top = int(largest)
    given = _NONE if weights is None else np.ascontiguousarray(weights, dtype=np.float64)
    return RowPass(
        kernel, link.name, np.ascontiguousarray(y, dtype=np.float64), given, threads, top
    )


def _fixed(rows: RowPass) -> tuple[float, float]:
    """The part of the constants without dispersion, and the number of rows with weight."""
    y, w = rows.y, rows.weights if rows.weights.size else np.ones_like(rows.y)
    used = w > 0
    count = float(used.sum())
    if rows.family == "binomial":
        yes, no = w * y, w - w * y
        inner = (yes > 0) & (no > 0)
        ways = log_factorial(w) - log_factorial(yes) - log_factorial(no)
        return float(ways[inner].sum()), count
    if rows.family == "gaussian":
        return 0.5 * float(np.log(w[used]).sum()), count
    if rows.family == "inverse_gaussian":
        return float((0.5 * np.log(w[used]) - 1.5 * np.log(y[used])).sum()), count
    if rows.family == "gamma":
        return -float(np.log(y[used]).sum()), count
    return -float((w * log_factorial(y)).sum()), count


def _gamma_constants(weights: Floats, n: int, phi: float) -> tuple[float, float, float]:
    """Sums of log(a / 2 pi)/2 - Stirling's remainder of a = w / phi, over the distinct weights."""
    if weights.size:
        distinct, counts = np.unique(weights[weights > 0], return_counts=True)
    else:
        distinct, counts = np.ones(1), np.array([n])
    shape = distinct / phi
    near, bend = digamma_gap(shape)
    value = 0.5 * np.log(shape / (2.0 * np.pi)) - stirling_remainder(shape)
    return float(counts @ value), -float(counts @ near), float(counts @ (near + bend))
