"""A small model with one grouping factor as the compiled search takes it: all but its response.

The search goes from the rows to the optimum in one call, for one response or many, each fitted as
if it were alone. It takes the steps of ``starting`` and ``optimize.newton`` as long as nothing out
of the ordinary happens. Where it does (a variance on its way to zero, a Hessian that is not
positive definite, a likelihood that cannot be computed at the start) it says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixeff.control import Control
from mixeff.covariance import Partition
from mixeff.design.design import Design
from mixeff.generalized.dispersion_ends import is_exact, is_negative_binomial
from mixeff.generalized.edge import at_the_edge, means_may_touch
from mixeff.generalized.families.family import Family
from mixeff.generalized.kernels import one_factor_fits
from mixeff.generalized.notes import ENDLESS
from mixeff.generalized.observations import Observations
from mixeff.generalized.one_factor import CANONICAL, MOST_COLUMNS, Entries
from mixeff.generalized.separation import WEAK, separable
from mixeff.generalized.working import in_units, standard_bases
from mixeff.linear.coordinates import Coordinates, Response
from mixeff.linear.standardize import Basis
from mixeff.linear.working import usable_threads
from mixeff.optimize.boundary import SNAP
from mixeff.optimize.starts import extra_starts

Floats = NDArray[np.float64]
Draws = NDArray[np.int64]
NO_DRAWS: Draws = np.empty((0, 0), dtype=np.int64)

LARGEST_ROWS = 10_000
"""Beyond, what surrounds the search costs little beside it, and the rows are not kept."""

_NONE = np.empty(0)
_CLEAR = 1e-3  # curvature with which a Hessian is positive definite in other parameters too


class Searches(NamedTuple):
    """What the compiled search returns of m fits, in working coordinates.

    Attributes
    ----------
    at : (m, k + p) array, theta and beta; log dispersion behind them where it is estimated
    value : (m,) array
    gradient, hessian, u, scores, Xi : as in ``one_factor.Found``, with m in front
    eta : (m, n) array, linear predictors; (m, 0) where levels were drawn
    start : (m, p) array, coefficients of the standardized columns without random effects, and
        behind them the dispersion where it is estimated
    scale : (m,) array, root mean square working weight there
    decrease : (m,) array, what a further step is predicted to gain
    evaluations : (m,) int64 array
    least_information : (m,) array, smallest eigenvalue of X'V^-1 X of the working linear model
    least_weight : (m,) array, of a row
    end : (m,) int8 array
        0: no optimum, the rest means nothing; 1: an interior one; 2: one with the variance zero.
    """

    at: Floats
    value: Floats
    gradient: Floats
    hessian: Floats
    u: Floats
    scores: Floats
    Xi: Floats
    eta: Floats
    start: Floats
    scale: Floats
    decrease: Floats
    evaluations: NDArray[np.int64]
    least_information: Floats
    least_weight: Floats
    end: NDArray[np.int8]

    def only(self, i: int) -> Searches:
        """One of them, as one of one."""
        return Searches._make(part[i : i + 1] for part in self)


@dataclass(frozen=True, slots=True)
class SmallModel:
    """A small model but for its response, as the compiled search takes it.

    Attributes
    ----------
    design : Design
    family : Family
    control : Control
    threads : int
    partition : Partition
    bases : Basis of X, and per random term
    X, Z : (n, p) and (n, q) arrays, standardized columns
    offset : (n,) array
    dispersion : float or None, where it is to be estimated
    """

    design: Design
    family: Family
    control: Control
    threads: int
    partition: Partition
    bases: tuple[Basis, tuple[Basis, ...]]
    X: Floats
    Z: Floats
    offset: Floats
    dispersion: float | None

    @classmethod
    def of(
        cls, design: Design, family: Family, control: Control, threads: int | None = None
    ) -> SmallModel | None:
        """None for a model the search is not for.

        Raises
        ------
        DesignError
            If the fixed-effect columns are linearly dependent to rounding.
        """
        terms = design.random
        columns = sum(t.n_columns for t in terms)
        others = any(t.group != terms[0].group for t in terms)
        if others or design.n > LARGEST_ROWS or columns > MOST_COLUMNS:
            return None
        dispersion = Observations(family, np.empty(0), None, None).known_dispersion
        threads = threads or control.threads or usable_threads()
        bases = standard_bases(design, threads)
        partition = Partition.of_groups([t.group for t in terms], [t.n_columns for t in terms])
        Z = [b.apply(t.values) for b, t in zip(bases[1], terms, strict=True)]
        offset = np.zeros(design.n) if design.offset is None else design.offset
        return cls(
            design, family, control, threads, partition, bases,
            np.ascontiguousarray(bases[0].apply(design.X)),
            np.ascontiguousarray(Z[0] if len(Z) == 1 else np.hstack(Z)),
            np.ascontiguousarray(offset, dtype=np.float64), dispersion,
        )  # fmt: skip

    def search(self, Y: Floats, draws: Draws = NO_DRAWS) -> Searches | None:
        """Fit every row of Y (m, n); None where a response is not for the compiled passes.

        Parameters
        ----------
        Y : (m, n) array, responses the family allows
        draws : (d, J) int64 array, optional
            Levels instead of the data's, a row per fit; repeated ones count as different. Y is
            one response then.
        """
        design, family, m = self.design, self.family, Y.shape[0]
        weights = design.weights if m == 1 or design.weights is None else np.tile(design.weights, m)
        rows = Observations.of(family, np.ravel(Y), weights).compiled
        if rows is None:
            return None
        first, names = design.random[0], (rows.family, rows.link)
        guess = np.empty(Y.shape)
        for to, y in zip(guess, Y, strict=True):
            to[:] = family.link.eta(family.initial_mu(y, design.weights))
        if self.dispersion is None:
            constants = rows.fixed_constants()
        else:
            constants = rows.row_constants(self.dispersion)[0]
        shares = -2.0 * np.broadcast_to(constants, m * design.n).reshape(m, design.n)
        shift = shares.sum(axis=1)
        if draws.size:
            shift = np.bincount(first.codes, shares[0], first.n_levels)[draws].sum(axis=1)
        entries = Entries.of(self.partition)
        more = self.control.extra_starts if self.partition.n_theta == 1 else 0
        return Searches(
            *one_factor_fits(
                *names,
                np.ascontiguousarray(Y, dtype=np.float64),
                rows.weights[: design.n],
                self.offset,
                self.X,
                self.Z,
                np.ascontiguousarray(first.codes, dtype=np.int32),
                first.n_levels,
                guess,
                0.0 if self.dispersion is None else self.dispersion,
                self.control.laplace == "expected" and names not in CANONICAL,
                entries.rows,
                entries.columns,
                np.ascontiguousarray(draws, dtype=np.int64),
                shift,
                np.concatenate([_NONE, *extra_starts(self.partition, more)]),
                self.control.tolerance,
                self.control.max_evaluations,
                self.threads,
            )
        )

    def coordinates(self, scale: float) -> Coordinates:
        """Back to the caller's units from those of a search with this scale."""
        unit, (fixed, random) = 1.0 / scale, self.bases
        same = Response(0.0, np.zeros(self.X.shape[1]), 1.0, np.empty(0))
        return Coordinates(in_units(fixed, unit), tuple(in_units(b, unit) for b in random), same, 0)

    def good(self, found: Searches) -> NDArray[np.bool_]:
        """(m,) whether an optimum was found that ``optimize`` would leave as it is."""
        k, ended = self.partition.n_theta, found.end > 0
        if k == 1:
            return ended
        each = (_interior(self.partition, at) for at in found.at[:, :k])
        return ended & np.fromiter(each, dtype=np.bool_, count=found.value.size)

    def dispersions(self, found: Searches) -> Floats | None:
        """(m,) None in a family without."""
        if not self.family.has_dispersion:
            return None
        if self.dispersion is not None:
            return np.full(found.value.size, self.dispersion)
        return np.exp(found.at[:, -1])

    def sound(self, found: Searches, n: Floats | int) -> NDArray[np.bool_]:
        """(m,) fits without a note of trouble for sure; ``notes.troubles`` has the conditions.

        The Hessian the search ended with is positive definite, and so is that of the caller's
        parameters, which are others of the same covariances: the one is congruent to the other
        where the gradient is zero. With several random effects per level, where the change between
        them may be badly conditioned, a clear margin is asked for.

        Parameters
        ----------
        found : Searches
        n : int or (m,) array, rows of each fit
        """
        k, q = self.partition.n_theta, self.Z.shape[1]
        sound = np.isfinite(found.least_weight)
        if separable(self.family):
            sound &= found.least_information > WEAK * n
        sound &= np.sqrt(np.square(found.at[:, :k]).sum(axis=1)) <= ENDLESS
        if q > 1:
            sound &= _curvatures(found.hessian) > _CLEAR
        scaled = self.dispersion is None and not is_negative_binomial(self.family)
        if scaled or means_may_touch(self.family):
            for i in np.flatnonzero(sound):
                sound[i] = self._inside(found.eta[i], float(found.at[i, -1]) if scaled else None)
        return sound

    def _inside(self, eta: Floats, logarithm: float | None) -> bool:
        """Whether no mean is at an edge, and the dispersion none of responses without error."""
        if not eta.size or at_the_edge(self.family, eta)[1].any():
            return False
        return logarithm is None or not is_exact(self.family, eta, math.exp(logarithm))


def _curvatures(hessians: Floats) -> Floats:
    """(m,) smallest eigenvalues of Hessians scaled to a unit diagonal; not a number where none."""
    with np.errstate(all="ignore"):
        root = np.sqrt(np.diagonal(hessians, axis1=1, axis2=2))
        scaled = hessians / (root[:, :, None] * root[:, None, :])
    known = np.isfinite(scaled).all(axis=(1, 2))
    out = np.full(known.size, np.nan)
    out[known] = np.linalg.eigvalsh(scaled[known])[:, 0]
    return out


def _interior(partition: Partition, theta: Floats) -> bool:
    """Whether ``optimize`` would leave the optimum as it is: no small variance, no other order."""
    for structure, part in zip(partition.structures, partition.split(theta), strict=True):
        if structure.size == 1:
            if not part[0] >= SNAP:
                return False
            continue
        sizes = np.linalg.svd(structure.expand(part), compute_uv=False)
        flipped = bool((part[structure.is_diagonal] < 0.0).any())
        if not sizes[-1] >= SNAP * max(1.0, sizes[0]) or flipped:
            return False
        if structure.pivoted(part) is not structure:
            return False
    return True
