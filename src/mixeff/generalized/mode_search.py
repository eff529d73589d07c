"""The search for modes in one compiled call: what it works on, and which models it is for.

The kernel takes the steps of ``pirls`` by its rules, on the arrays of the penalized system that
every other computation uses: where it has been, the latest factor is that of the modes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.factor.cholesky import BlockedFactor, Store
from mixeff.factor.dense_tail import DenseTail
from mixeff.factor.refill import Refillable
from mixeff.factor.stages import PANEL_ROWS
from mixeff.factor.threads import one_blas_thread
from mixeff.generalized.kernels import ModeSearch

if TYPE_CHECKING:
    from mixeff.generalized.kernels.passes import RowPass
    from mixeff.generalized.working import GeneralizedModel

Floats = NDArray[np.float64]
Effects = tuple[Floats, ...]

_NONE = np.empty(0)


def compiled_search(model: GeneralizedModel, *, joint: bool) -> CompiledSearch | None:
    """The compiled search of this model; None where ``Pirls`` takes every step itself.

    This is the one place that decides: the family and link have a compiled pass over the rows, and
    the factor has a dense tail that its inverse leaves alone.
    """
    compiled = model.observations.compiled
    if compiled is None:
        return None
    cell = model.cell if joint else model.bare
    tail = cell.system.tail
    if not isinstance(tail, DenseTail) or tail.in_place:
        return None
    return CompiledSearch(model, compiled, cell, tail, joint)


class CompiledSearch:
    """One model's compiled search.

    Parameters
    ----------
    model : GeneralizedModel
    compiled : RowPass, its observations'
    cell : Refillable, ``model.cell`` if the fixed effects are found too, else ``model.bare``
    tail : DenseTail, the cell's
    joint : bool
    """

    def __init__(
        self,
        model: GeneralizedModel,
        compiled: RowPass,
        cell: Refillable,
        tail: DenseTail,
        joint: bool,
    ) -> None:
        self.model, self.compiled, self.cell, self.joint = model, compiled, cell, joint
        rows = model.rows if joint else model.bare_rows
        self._kernel = ModeSearch(
            compiled.family, compiled.link, compiled.y, compiled.weights, model.offset, rows.X,
            compiled.top, joint, rows.threads,
        )  # fmt: skip
        self._add_rows()
        self._add_stages(tail)
        self._kernel.lay_out()
        self._store: Store | None = None
        self._shift: tuple[float, float] | None = None

    def _add_rows(self) -> None:
        """Rows and cross-products."""
        rows, products = self.model.rows, self.cell.products
        position = self.cell.system.layout.position
        for g, to, at in zip(rows.groups, products.groups, position, strict=True):
            self._kernel.add_group(g.codes, g.pointer, g.order, g.Z, to.gram, to.dense, at)
        for (i, k), pair in rows.pairs.items():
            self._kernel.add_pair(
                i, k, pair.indptr, pair.indices, pair.start, pair.order, products.pairs[i, k].values
            )

    def _add_stages(self, tail: DenseTail) -> None:
        """Layout of the factor."""
        kernel, system = self._kernel, self.cell.system
        layout, scratch = system.layout, system.scratch()
        order = list(self.model.rows.pairs)
        for s, (stage, places) in enumerate(zip(layout.stages, self.cell.places, strict=True)):
            index = stage.by_column
            kernel.add_stage(
                stage.group, stage.start, stage.G, stage.pointer, stage.columns, stage.B,
                stage.skip, index.meets, index.row, index.level, places.dense, scratch.rows[s],
            )  # fmt: skip
            for pair in places.pairs:
                kernel.add_place(s, order.index(pair.key), pair.flip, pair.rows)
        for s, stage in enumerate(layout.stages):
            for link in stage.links:
                kernel.add_link(s, link.stage, link.offset, link.ancestor, link.place)
        kernel.set_tail(
            list(layout.tail_groups), layout.starts, layout.tail, self.cell.products.fixed,
            tail.room[:PANEL_ROWS],
        )  # fmt: skip

    def find(
        self,
        Lambda: Effects,
        beta: Floats,
        fixed: Floats,
        dispersion: float,
        start: Sequence[Floats],
        tolerance: float,
    ) -> tuple[Effects, Floats, Floats, Floats, Floats, float, int] | None:
        """The modes; None where a step is not for the kernel.

        Parameters
        ----------
        Lambda : tuple of (q, q) arrays
        beta : (p,) array, where to begin if it is found with the modes, else not used
        fixed : (n,) array, offset + X beta; not used where beta is found
        dispersion : float
        start : sequence of (J, q) arrays, spherical effects to begin with
        tolerance : float, squared length of the step at which to stop

        Returns
        -------
        effects, beta, linear predictor, scores, weights, objective, Newton steps
        """
        store, earlier = self.cell.lend()
        self._use(store)
        u = tuple([np.empty_like(v) for v in start])
        found = np.empty(self.model.p if self.joint else 0)
        eta, score, weight = (np.empty(self.model.y.size) for _ in range(3))
        with one_blas_thread():
            good, objective, logdet, steps, observed = self._kernel.find(
                list(Lambda), list(earlier), beta if self.joint else found, fixed, dispersion,
                self._constant(dispersion), list(start), tolerance, list(u), found, eta, score,
                weight,
            )  # fmt: skip
        if not good:
            self.cell.system.release(store)
            return None
        self.cell.adopt(Lambda, weight if observed else None, store, logdet)
        return u, found if self.joint else beta, eta, score, weight, objective, steps

    def factor(self, Lambda: Sequence[Floats], weight: Floats) -> BlockedFactor | None:
        """Cross-products with these weights, factored; None where that is not positive definite."""
        store, _ = self.cell.lend()
        self._use(store)
        with one_blas_thread():
            good, logdet = self._kernel.factor(weight, list(Lambda))
        if not good:
            self.cell.system.release(store)
            return None
        return self.cell.adopt(Lambda, weight, store, logdet)

    def _use(self, store: Store) -> None:
        """Tell the kernel where to factor."""
        if store is self._store:
            return
        G, B, T, R = zip(*((s.G, s.B, s.T, s.R) for s in store.stages), strict=True)
        lists = list(G), list(B), list(T), list(R)
        self._kernel.set_store(*lists, store.S, store.L, store.scalars)
        self._store = store

    def _constant(self, dispersion: float) -> float:
        """What the log-likelihood has of the data and the dispersion alone."""
        if self._shift is None or self._shift[0] != dispersion:
            self._shift = dispersion, self.compiled.constants(dispersion)[0]
        return self._shift[1]
