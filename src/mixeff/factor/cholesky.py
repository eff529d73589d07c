"""The penalized system and its blocked Cholesky factor at one set of Lambda (ENGINE section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import ReferenceType, ref

import numpy as np
from numpy.typing import NDArray

from mixeff.crossproducts.blocks import CrossProducts
from mixeff.errors import ConvergenceError, DesignError
from mixeff.factor import kernels, selected_inverse, solves
from mixeff.factor.dense_tail import SHARED_IN_FITS, DenseTail
from mixeff.factor.elimination import plan_elimination
from mixeff.factor.heap import give_back
from mixeff.factor.read_back import exchanged, read_back
from mixeff.factor.sparse_tail import SparseTail
from mixeff.factor.stages import Layout, Stage, build_layout
from mixeff.factor.tail import Tail
from mixeff.factor.tail_curvature import Squares
from mixeff.factor.threads import one_blas_thread

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StageStore:
    """Arrays one stage's factor lives in; ``G`` and ``B`` hold what earlier stages left.

    ``C`` = B R, the rows of the factor itself, are made again level by level where they are needed.
    """

    G: Floats
    B: Floats
    T: Floats
    R: Floats

    @classmethod
    def of(cls, stage: Stage, first: bool) -> StageStore:
        """Allocate; the first stage's blocks never change and are shared."""
        G = stage.G if first else np.empty_like(stage.G)
        B = stage.B if first else np.empty_like(stage.B)
        return cls(G, B, np.empty_like(G), np.empty_like(G))


@dataclass(frozen=True, slots=True)
class Store:
    """All arrays of one factor.

    Attributes
    ----------
    stages : tuple of StageStore
    S : array, S_0 of the tail, laid out as the tail says
    L : array, its Cholesky factor
    scalars : (3,) array
    """

    stages: tuple[StageStore, ...]
    S: Floats
    L: Floats
    scalars: Floats

    @classmethod
    def of(cls, stages: tuple[Stage, ...], tail: Tail) -> Store:
        """Allocate."""
        stores = tuple(StageStore.of(s, i == 0) for i, s in enumerate(stages))
        return cls(stores, *tail.arrays(), np.zeros(3))


class BlockedSystem:
    """Cross-products in elimination order, ready to be factored at any Lambda.

    Parameters
    ----------
    products : CrossProducts
    threads : int, of the kernels; results do not depend on it
    lean : bool
        As linear fits need it: from a smaller size of the tail on (``SHARED_IN_FITS``) all factors
        share one set of arrays, and pairs of factors are read back from the stages.
    like : Layout or None
        That of a system which differs in the response only, with a dense tail: its pattern serves
        again.

    Attributes
    ----------
    n, p : int
    n_levels, n_columns : tuple of int, per grouping factor in the caller's order
    products : CrossProducts, as given (``lean``: pairs that ``B`` holds are made anew if asked for)

    Notes
    -----
    Its factors share room for intermediate results: use a system from one thread at a time.
    """

    def __init__(
        self,
        products: CrossProducts,
        *,
        threads: int = 1,
        lean: bool = False,
        like: Layout | None = None,
    ) -> None:
        self.n = products.n
        self.p = products.p
        self.n_levels = tuple(g.n_levels for g in products.groups)
        self.n_columns = tuple(g.n_columns for g in products.groups)
        self.threads = threads
        ordering = None
        if like is not None:
            products, layout = exchanged(products, like)
        else:
            plan = plan_elimination(products)
            layout, ordering = build_layout(products, plan), plan.ordering
            if lean and layout.products.size > SHARED_IN_FITS:
                products, layout = read_back(products, layout)
        self.products, self.layout = products, layout
        self.tail: Tail = (
            DenseTail.of(self.layout, threads, max(self.n_columns, default=0), lean)
            if ordering is None
            else SparseTail.of(self.layout, ordering, threads)
        )
        self._free: list[Store] = []
        self._holder: ReferenceType[BlockedFactor] | None = None
        self._scratch: selected_inverse.Scratch | None = None

    def factorize(self, Lambda: Sequence[Floats]) -> BlockedFactor:
        """Factor at lower triangular (q, q) matrices, one per grouping factor.

        Raises
        ------
        ConvergenceError
            The penalized matrix is not finite or not positive definite at this Lambda.
        DesignError
            The fixed-effects columns are linearly dependent.
        """
        matrices = tuple(np.ascontiguousarray(L, dtype=np.float64) for L in Lambda)
        if tuple(m.shape for m in matrices) != tuple((q, q) for q in self.n_columns):
            raise ConvergenceError(
                f"Lambda must be one square matrix per grouping factor, of sizes {self.n_columns}; "
                f"got shapes {[m.shape for m in matrices]}."
            )
        factor = BlockedFactor(self, matrices)
        self.fill(factor)
        return factor

    def fill(self, factor: BlockedFactor) -> Store:
        """Factor, again where the arrays were given to a later factor or hold the inverse."""
        store = factor.give_up() or self.room()
        try:
            with one_blas_thread():
                logdet = _factor(self, store, factor.Lambda)
        except (ConvergenceError, DesignError):
            self._free.append(store)
            raise
        factor.receive(store, logdet)
        self._holder = ref(factor)
        return store

    def adopt(self, Lambda: tuple[Floats, ...], store: Store, logdet: float) -> BlockedFactor:
        """The factor that somebody else computed in arrays of this system (``room``).

        Parameters
        ----------
        Lambda : tuple of (q, q) C-contiguous arrays
        store : Store
        logdet : float, of the stages
        """
        factor = BlockedFactor(self, Lambda)
        factor.receive(store, logdet)
        self._holder = ref(factor)
        return factor

    def room(self) -> Store:
        """Free arrays; where they are large, those of the factor that has them now."""
        if self._free:
            return self._free.pop()
        holder = self._holder() if self._holder is not None else None
        if holder is not None and self.tail.in_place:
            store = holder.give_up()
            if store is not None:
                return store
        give_back(self.tail.memory)
        return Store.of(self.layout.stages, self.tail)

    def scratch(self) -> selected_inverse.Scratch:
        """Room for what no factor keeps, made once; valid only within one call."""
        if self._scratch is None:
            self._scratch = selected_inverse.Scratch.of(self.layout, self.tail)
        return self._scratch

    def release(self, store: Store) -> None:
        """Take back the arrays of a factor nobody holds any more."""
        self._free.append(store)


def _factor(system: BlockedSystem, store: Store, Lambda: tuple[Floats, ...]) -> float:
    """Eliminate the stages, factor the tail; log-determinant of the stages."""
    layout, rows = system.layout, system.scratch().rows
    logdet = 0.0
    system.tail.fill(store.S)
    for stage, at in zip(layout.stages[1:], store.stages[1:], strict=True):
        np.copyto(at.G, stage.G)
        np.copyto(at.B, stage.B)
    for s, (stage, at) in enumerate(zip(layout.stages, store.stages, strict=True)):
        logdet += kernels.eliminate(
            at.G, stage.pointer, at.B, Lambda[stage.group], at.T, at.R, rows[s]
        )
        if not np.isfinite(logdet):
            raise ConvergenceError(_NOT_DEFINITE)
        for link in stage.links:
            to = store.stages[link.stage]
            kernels.scatter_stage(
                stage.pointer, link.offset, link.ancestor, link.place, rows[s], to.G, to.B
            )
        system.tail.subtract(s, rows[s], store.S)
    inner = tuple(Lambda[i] for i in layout.tail_groups)
    bad = system.tail.factor(store.S, store.L, inner, store.scalars)
    if bad > layout.starts[-1]:
        raise DesignError(
            "The fixed-effects columns are linearly dependent (or dependent to rounding) once "
            f"the random effects are taken into account: column {bad - layout.starts[-1]} of the "
            "working model matrix is a combination of those before it. Remove one of them."
        )
    if bad:
        raise ConvergenceError(_NOT_DEFINITE)
    return logdet


_NOT_DEFINITE = (
    "The penalized system is not positive definite at the covariance parameters tried: "
    "they are too large or not finite. Rescale the predictors or give other starting values."
)


class BlockedFactor:
    """The system factored at one Lambda; see ``mixeff.factor.system.Factor``."""

    logdet_random: float
    logdet_fixed: float
    pwrss: float
    inverts_in_place: bool

    def __init__(self, system: BlockedSystem, Lambda: tuple[Floats, ...]) -> None:
        self.system = system
        self.layout = system.layout
        self.Lambda = Lambda
        self.inverses = tuple(solves.inverse_if_sound(L) for L in Lambda)
        self._store: Store | None = None
        self.inverts_in_place = system.tail.in_place
        self._inverted = False
        self._state: solves.ModeState | None = None
        self._fixed: Floats | None = None
        self.tail_squares: Squares | None = None  # known once traces were asked for with them

    def receive(self, store: Store, logdet: float) -> None:
        """Take the arrays in which this factor was computed."""
        self._store, self._inverted = store, False
        self.logdet_random = logdet + float(store.scalars[0])
        self.logdet_fixed = float(store.scalars[1])
        self.pwrss = float(store.scalars[2])

    def give_up(self) -> Store | None:
        """Hand the arrays on; they are computed again when this factor is asked for more."""
        store, self._store = self._store, None
        return store

    @property
    def store(self) -> Store:
        """The arrays of this factor."""
        if self._store is None or self._inverted:
            return self.system.fill(self)
        return self._store

    @property
    def eliminated(self) -> Store:
        """The arrays, of which L may hold the inverse already."""
        return self.system.fill(self) if self._store is None else self._store

    def inverting(self) -> Store:
        """The arrays, for the inverse to be made; where that is in place L counts as lost."""
        store = self.store
        if self.inverts_in_place:
            self._modes()
            self._fixed = np.array(self.system.tail.fixed_part(store.L))
            self._inverted = True
        return store

    def fixed_part(self) -> Floats:
        """(p, p) the part of the factor that belongs to X."""
        if self._fixed is None:
            return self.system.tail.fixed_part(self.store.L)
        return self._fixed

    def __del__(self) -> None:
        # The arrays go back to the system, so the loop over theta allocates none.
        store = getattr(self, "_store", None)
        if store is not None:
            self.system.release(store)

    @property
    def tail_Lambda(self) -> tuple[Floats, ...]:
        """Lambda of the tail's factors, in tail order."""
        return tuple(self.Lambda[i] for i in self.layout.tail_groups)

    def _modes(self) -> solves.ModeState:
        if self._state is None:
            with one_blas_thread():
                self._state = solves.conditional_modes(self)
        return self._state

    def beta(self) -> Floats:
        """(p,) generalized least squares coefficients."""
        at = self.layout.tail + int(self.layout.starts[-1])
        return np.array(self._modes().b[at : at + self.system.p, 0])

    def unscaled_covariance(self) -> Floats:
        """(p, p) (X' V^-1 X)^-1."""
        with one_blas_thread():
            return solves.unscaled_covariance(self)

    def modes(self) -> tuple[Floats, ...]:
        """Conditional modes b = Lambda u per term, (J, q) each."""
        return solves.split_groups(self.system, self._modes().b)

    def scores(self) -> tuple[Floats, ...]:
        """z_i = Z_i' P y per term, (J, q) each (exact at Lambda = 0)."""
        with one_blas_thread():
            return solves.scores(self, self._modes())

    def trace_blocks(self, reml: bool, squares: bool = False) -> tuple[Floats, ...]:
        """H_i per term, (q, q): sum of the diagonal blocks of Z_i' P Z_i (ML: Z_i' V^-1 Z_i).

        With ``squares`` those of a dense tail's factors, ``tail_squares``, are computed too.
        """
        with one_blas_thread():
            return selected_inverse.trace_blocks(self, reml, squares)

    def conditional_variances(self) -> tuple[Floats, ...]:
        """Per term (J, q, q): diagonal blocks of Lambda (Lambda'Z'Z Lambda + I)^-1 Lambda'."""
        with one_blas_thread():
            return selected_inverse.conditional_variances(self)

    def information(self, scores: Sequence[Floats], slopes: Sequence[Floats]) -> Floats:
        """(m, m) matrix c_j' Z' P Z c_k for c_j = slope_j z_l in the levels of one factor.

        ``scores`` z (J, q) and ``slopes`` (m_i, q, q) per grouping factor; m sums up the m_i.
        """
        with one_blas_thread():
            return solves.information(self, scores, slopes)

    def solve(self, right: Floats) -> Floats:
        """Solve [[Lambda'Z'Z Lambda + I, Lambda'Z'X], [X'Z Lambda, X'X]] s = right.

        ``right`` (sum J q + p,) or (sum J q + p, m): the grouping factors in the caller's order,
        level by level with the columns of a level together, then the fixed effects.
        """
        with one_blas_thread():
            return solves.solve(self, right)
