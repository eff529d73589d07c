"""The compiled pass over the rows of one response: what it leaves out, and when there is one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.generalized.families.family import RowTerms
from mixeff.generalized.families.special import digamma_gap, log_factorial, stirling_remainder
from mixeff.generalized.families.user_link import UserLink
from mixeff.generalized.kernels import has_pass, row_pass

if TYPE_CHECKING:
    from mixeff.generalized.families.base import LinkedFamily

Floats = NDArray[np.float64]
Share = Floats | float

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
_NONE, _ONE = np.empty(0), np.ones(1)
_UNDISPERSED = ("loglik", "score", "weight", "weight_slope", "weight_curvature")
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
    _base: list[Share] = field(default_factory=list, repr=False)

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
            ``loglik_r`` and ``loglik_rr`` lack the rows' share of ``constants``: see
            ``row_constants``, and ``terms`` for a drop-in for ``family.row_terms``.
        expected : bool, expected instead of observed information in ``weight...``
        level : int, optional
            0: log-likelihood; 1: score and weight; 2: slope of the weight and first derivatives
            in log dispersion; 3: everything. The least that ``into`` needs if left out.
        """
        wanted = dict(into or {})
        last = max((PARTS.index(name) for name in wanted), default=0)
        least = next(i for i, end in enumerate(_ENDS) if last < end)
        depth = least if level is None else level
        sums = self._run(eta, dispersion, wanted, expected, depth)
        fixed = self.constants(dispersion)
        loglik = sums[0] + fixed[0]
        return RowSums(
            -math.inf if math.isnan(loglik) else loglik,
            sums[1] + fixed[1] if depth >= 2 else 0.0,
            sums[2] + fixed[2] if depth >= 3 else 0.0,
        )

    def constants(self, dispersion: float = 1.0) -> tuple[float, float, float]:
        """What no eta changes, summed over the rows, and its derivatives in log dispersion."""
        value, first, second = self.row_constants(dispersion)
        return self._total(value), self._total(first), self._total(second)

    def row_constants(self, dispersion: float = 1.0) -> tuple[Share, Share, Share]:
        """Every row's share of ``constants``: (n,) arrays, or one number for all rows."""
        fixed = self.fixed_constants()
        if self.family in ("gaussian", "inverse_gaussian"):
            used = self._used()
            return fixed - used * (0.5 * math.log(2.0 * math.pi * dispersion)), -0.5 * used, 0.0
        if self.family == "gamma":
            value, first, second = _gamma_constants(self.weights, dispersion)
            return fixed + value, first, second
        return fixed, 0.0, 0.0

    def fixed_constants(self) -> Share:
        """Every row's share of ``constants`` that no dispersion changes."""
        if not self._base:
            self._base.append(_fixed(self))
        return self._base[0]

    def terms(
        self,
        eta: Floats,
        dispersion: float = 1.0,
        *,
        expected: bool = False,
        curvature: bool = False,
    ) -> RowTerms:
        """What ``family.row_terms`` returns, by the compiled pass."""
        depth = 3 if curvature else 2
        dispersed = self.family not in ("binomial", "poisson")
        names = [n for n in PARTS[: _ENDS[depth]] if dispersed or n in _UNDISPERSED]
        block = np.empty((len(names), self.y.size))
        parts = dict(zip(names, block, strict=True))
        self._run(eta, dispersion, parts, expected, depth)
        shares = self.row_constants(dispersion)
        for name, share in zip(("loglik", "loglik_r", "loglik_rr"), shares, strict=True):
            if name in parts and np.any(share):
                parts[name] += share
        if np.isnan(parts["loglik"].sum()):
            parts["loglik"] = np.where(np.isnan(parts["loglik"]), -np.inf, parts["loglik"])
        return RowTerms(**parts)

    def _run(
        self,
        eta: Floats,
        dispersion: float,
        parts: Mapping[str, Floats],
        expected: bool,
        level: int,
    ) -> tuple[float, float, float]:
        return row_pass(
            self.family,
            self.link,
            self.y,
            eta,
            self.weights,
            float(dispersion),
            expected,
            self.top,
            level,
            [parts.get(name, _NONE) for name in PARTS],
            self.threads,
        )

    def _used(self) -> Share:
        """One for a row with weight, zero for one without."""
        return (self.weights > 0).astype(np.float64) if self.weights.size else 1.0

    def _total(self, share: Share) -> float:
        return float(np.sum(share)) if np.ndim(share) else float(share) * self.y.size


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


def _fixed(rows: RowPass) -> Share:
    """Every row's constant that no dispersion changes."""
    y, w = rows.y, rows.weights if rows.weights.size else np.ones_like(rows.y)
    if rows.family == "binomial":
        yes, no = w * y, w - w * y
        inner = (yes > 0) & (no > 0)
        if not inner.any():
            return 0.0
        ways = log_factorial(w) - log_factorial(yes) - log_factorial(no)
        return np.where(inner, ways, 0.0)
    if rows.family in ("poisson", "negative_binomial", "negative_binomial1"):
        return -(w * log_factorial(y))
    size = np.log(np.where(w > 0, w, 1.0))
    powers = {"gaussian": 0.0, "inverse_gaussian": 1.5, "gamma": 1.0}
    power = powers[rows.family]
    logarithm = np.log(y) if power else np.zeros_like(y)
    own = -power * logarithm if rows.family == "gamma" else 0.5 * size - power * logarithm
    return np.where(w > 0, own, 0.0)


def _gamma_constants(weights: Floats, phi: float) -> tuple[Share, Share, Share]:
    """log(a / 2 pi)/2 - Stirling's remainder of a = w / phi, over the distinct weights."""
    distinct, place = np.unique(weights, return_inverse=True) if weights.size else (_ONE, None)
    shape = np.where(distinct > 0, distinct, 1.0) / phi
    near, bend = digamma_gap(shape)
    value = 0.5 * np.log(shape / (2.0 * np.pi)) - stirling_remainder(shape)
    parts = [np.where(distinct > 0, part, 0.0) for part in (value, -near, near + bend)]
    if place is None:
        return float(parts[0][0]), float(parts[1][0]), float(parts[2][0])
    return parts[0][place], parts[1][place], parts[2][place]
