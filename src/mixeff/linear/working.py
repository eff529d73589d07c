"""A design in working coordinates: cross-products made, ready to be factored at any theta."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixeff.covariance import Partition
from mixeff.crossproducts.blocks import GroupBlock
from mixeff.crossproducts.in_memory import build_system
from mixeff.design.design import Design, RandomTerm
from mixeff.factor.system import System
from mixeff.linear.coordinates import Coordinates, coordinates
from mixeff.linear.standardize import Basis

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WorkingModel:
    """Everything a fit needs after the one pass over the rows.

    The cross-products of Z and X do not depend on the response: a refit to another response needs
    only new products with it, ``coordinates.response``, and can start from the old theta.
    """

    system: System
    partition: Partition
    coordinates: Coordinates


def working_model(design: Design, threads: int | None = None) -> WorkingModel:
    """Choose working coordinates and form the cross-products.

    Raises
    ------
    DesignError
        If the fixed effects leave no residual (see ``coordinates``).
    """
    groups = [t.group for t in design.random]
    partition = Partition.of_groups(groups, [t.n_columns for t in design.random])
    threads = usable_threads() if threads is None else threads
    chosen = coordinates(design, threads)
    blocks = [
        _block([design.random[t] for t in terms], [chosen.random[t] for t in terms])
        for terms in partition.members
    ]
    X, shift, scale = chosen.fixed.working(design.X)
    system = build_system(
        chosen.response.values,
        X,
        blocks,
        weights=design.weights,
        X_shift=shift,
        X_scale=scale,
        threads=threads,
    )
    return WorkingModel(system, partition, chosen)


def usable_threads() -> int:
    """Cores given to this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _block(terms: list[RandomTerm], bases: list[Basis]) -> GroupBlock:
    """The columns of all terms of one grouping factor, side by side."""
    first = terms[0]
    if any(b.rotation is not None for b in bases):
        pairs = zip(terms, bases, strict=True)
        values = np.ascontiguousarray(np.hstack([b.apply(t.values) for t, b in pairs]))
        return GroupBlock(first.codes, first.n_levels, values)
    values = first.values if len(terms) == 1 else np.hstack([t.values for t in terms])
    return GroupBlock(
        first.codes,
        first.n_levels,
        np.ascontiguousarray(values, dtype=np.float64),
        np.concatenate([b.shift for b in bases]),
        np.concatenate([b.scale for b in bases]),
    )
