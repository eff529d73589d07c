"""Many responses to one generalized model: everything but the response is shared.

Small models with one grouping factor are fitted by the compiled search, many in one call. What it
gives up on, and all other models, is fitted one response after the other as any model is, with the
columns, patterns and systems of the first. Every fit is what it would be by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mixeff.control import Control
from mixeff.design.design import Design
from mixeff.errors import MixeffError
from mixeff.factor.threads import one_blas_thread
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.generalized.families.family import Family
from mixeff.generalized.findings import Findings, Numbers
from mixeff.generalized.fit import find_optimum
from mixeff.generalized.laplace import LaplaceEvaluation
from mixeff.generalized.small import Small
from mixeff.generalized.small_model import Draws, Searches, SmallModel
from mixeff.generalized.working import GeneralizedModel
from mixeff.linear.many import responses_at_once
from mixeff.optimize import Optimum

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ManyGeneralized:
    """Estimates of m responses in the caller's units, one row or entry per response.

    Attributes
    ----------
    theta : (m, k) array
    beta : (m, p) array
    dispersion : (m,) array, not a number in a family without one
    loglik : (m,) array
    converged : (m,) boolean array
    evaluations : (m,) int64 array
    errors : dict, response -> why it has no fit; its numbers are NaN
    troubles : dict, response -> sentences that say what numbers of the fit mean nothing, the
        verdict's among them where the optimality conditions do not hold
    """

    theta: Floats
    beta: Floats
    dispersion: Floats
    loglik: Floats
    converged: NDArray[np.bool_]
    evaluations: NDArray[np.int64]
    errors: dict[int, MixeffError] = field(default_factory=dict)
    troubles: dict[int, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of_size(cls, m: int, k: int, p: int) -> ManyGeneralized:
        """Nothing estimated yet."""
        return cls(
            np.full((m, k), np.nan),
            np.full((m, p), np.nan),
            np.full(m, np.nan),
            np.full(m, np.nan),
            np.zeros(m, dtype=np.bool_),
            np.zeros(m, dtype=np.int64),
        )

    def write(self, at: int, design: Design, optimum: Optimum, n_agq: int) -> None:
        """The fit of one response, with what it would warn of."""
        numbers = Numbers.of(optimum)
        findings = Findings(design, optimum, numbers.theta, n_agq, 0.0)
        self.theta[at], self.beta[at], self.loglik[at] = numbers.theta, numbers.beta, numbers.loglik
        if numbers.dispersion is not None:
            self.dispersion[at] = numbers.dispersion
        self.converged[at] = optimum.ok
        self.evaluations[at] = optimum.evaluations
        said = findings.troubles()
        if not optimum.ok:
            said = (*said, findings.convergence().sentence)
        if said:
            self.troubles[at] = said


@dataclass(frozen=True, slots=True, eq=False)
class GeneralizedBatch:
    """What all responses to one design share.

    Attributes
    ----------
    design : Design
    family : Family
    n_agq : int
    control : Control
    start : (k,) or (k + p,) array or None, as ``fit_generalized`` takes it
    like : GeneralizedEstimate or None, a fit of the design to start from
    small : SmallModel or None, where the compiled search can be asked
    """

    design: Design
    family: Family
    n_agq: int
    control: Control
    start: Floats | None
    like: GeneralizedEstimate | None
    small: SmallModel | None

    @classmethod
    def of(
        cls,
        design: Design,
        family: Family,
        *,
        n_agq: int,
        control: Control,
        start: Floats | None = None,
        like: GeneralizedEstimate | None = None,
        threads: int | None = None,
    ) -> GeneralizedBatch:
        """Arguments as those of ``fit_generalized``; ``threads`` in the place of the control's."""
        if threads is not None:
            control = replace(control, threads=threads)
        small = None
        if n_agq == 1 and start is None:
            small = SmallModel.of(design, family, control)
        return cls(design, family, n_agq, control, start, like, small)

    def fit(
        self,
        Y: Floats,
        errors: Mapping[int, MixeffError],
        watch: Callable[[int], None] | None = None,
    ) -> ManyGeneralized:
        """Fit every column of ``Y`` in place of the response.

        Parameters
        ----------
        Y : (n, m) array, finite
        errors : response -> why it cannot be one: it is left out
        watch : callable, optional
            Called with the number of responses done, every now and then.
        """
        m = Y.shape[1]
        k = sum(t.n_theta for t in self.design.random)
        out = ManyGeneralized.of_size(m, k, self.design.X.shape[1])
        out.errors.update(errors)
        possible = np.array([j for j in range(m) if j not in errors], dtype=np.int64)
        step, done = responses_at_once(self.design.n), m - possible.size
        for first in range(0, possible.size, step):
            wanted = possible[first : first + step]
            left = wanted if self.small is None else self._compiled(self.small, Y, wanted, out)
            done += wanted.size - left.size
            self._one_by_one(Y, left, out, watch, done)
            done += left.size
            if watch is not None:
                watch(done)
        return out

    def draws(self, levels: Draws) -> tuple[ManyGeneralized, NDArray[np.bool_]]:
        """Fit the data made of levels of the one grouping factor, drawn with replacement.

        Parameters
        ----------
        levels : (m, J) int64 array
            Repeated ones count as different.

        Returns
        -------
        estimates, (m,) boolean array
            Where it is false the compiled search says nothing, or a note of trouble may be due:
            the fit is to be made from the rows.
        """
        design, small = self.design, self.small
        k, m = sum(t.n_theta for t in design.random), levels.shape[0]
        out = ManyGeneralized.of_size(m, k, design.X.shape[1])
        found = None
        if small is not None:
            found = small.search(np.reshape(design.response, (1, -1)), levels)
        if small is None or found is None:
            return out, np.zeros(m, dtype=np.bool_)
        sizes = np.bincount(design.random[0].codes, minlength=design.random[0].n_levels)
        known = small.good(found) & small.sound(found, sizes[levels].sum(axis=1))
        write_searches(small, found, np.arange(m), known, out)
        return out, known

    def _compiled(
        self, small: SmallModel, Y: Floats, wanted: Indices, out: ManyGeneralized
    ) -> Indices:
        """Fit what the compiled search can; the others are returned."""
        rows = np.ascontiguousarray(Y[:, wanted].T)
        found = small.search(rows)
        if found is None:
            if wanted.size == 1:
                return wanted
            # Some of them are not for the compiled passes: find out which.
            left = (self._compiled(small, Y, wanted[i : i + 1], out) for i in range(wanted.size))
            return np.concatenate([*left])
        good = small.good(found)
        write_searches(small, found, wanted, good, out)
        doubtful = np.flatnonzero(good & ~small.sound(found, self.design.n))
        for i in doubtful:
            one = Small.of(small, found.only(int(i)), rows[i], time.perf_counter())
            if said := one.troubles():
                out.troubles[int(wanted[i])] = said
        return wanted[~good]

    def _one_by_one(
        self,
        Y: Floats,
        wanted: Indices,
        out: ManyGeneralized,
        watch: Callable[[int], None] | None,
        done: int,
    ) -> None:
        sibling: GeneralizedModel | None = None
        with one_blas_thread():
            for i, j in enumerate(wanted.tolist()):
                design = replace(self.design, response=np.ascontiguousarray(Y[:, j]))
                try:
                    optimum = find_optimum(
                        design, self.family, n_agq=self.n_agq, control=self.control,
                        start=self.start, like=self.like, sibling=sibling,
                    )  # fmt: skip
                    out.write(j, design, optimum, self.n_agq)
                except MixeffError as error:
                    out.errors[j] = error
                else:
                    assert isinstance(optimum.evaluation, LaplaceEvaluation)
                    sibling = optimum.evaluation.problem.model
                if watch is not None:
                    watch(done + i + 1)


def write_searches(
    small: SmallModel,
    found: Searches,
    places: Iterable[int],
    good: NDArray[np.bool_],
    out: ManyGeneralized,
) -> None:
    """Write the fits that are ``good``, each at its place, in the caller's units."""
    at = np.asarray(places)[good]
    k, p = small.partition.n_theta, small.X.shape[1]
    unit = 1.0 / found.scale[good, None]
    plain = small.coordinates(1.0)
    out.theta[at] = unit * plain.thetas(small.partition, np.ascontiguousarray(found.at[good, :k]))
    # Too small for the threads of a BLAS.
    out.beta[at] = unit * np.einsum("ij,kj->ik", found.at[good, k : k + p], plain.fixed.matrix)
    dispersions = small.dispersions(found)
    if dispersions is not None:
        out.dispersion[at] = dispersions[good]
    out.loglik[at] = -0.5 * found.value[good]
    out.converged[at] = True
    out.evaluations[at] = found.evaluations[good]
