"""Which observations are independent of each other: the clusters of robust variances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import DataError, OptionError
from mixeff.frames.arrays import column_from_values
from mixeff.frames.columns import FactorColumn, open_frame
from mixeff.linear.clusters import Clusters

if TYPE_CHECKING:
    from mixeff.design.design import RandomTerm
    from mixeff.frames.columns import Column
    from mixeff.model.mixed import MixedModel


@dataclass(frozen=True, slots=True)
class Grouping:
    """Clusters with the name of what makes them."""

    name: str
    clusters: Clusters


def grouping_of(fit: MixedModel, cluster: Any = None) -> Grouping:
    """The clusters of a fit.

    Parameters
    ----------
    fit : MixedModel
    cluster : None, str or (n,) array
        None: the grouping factor in which all others are nested. Else a grouping factor or column
        of the data, or one value per row (of the rows used, or of all rows of the data).

    Raises
    ------
    OptionError
        Observations of different clusters share a random effect.
    DataError
        A cluster is missing, or the array has another length.
    """
    terms = fit.design.random
    if cluster is None:
        return _outermost(terms)
    name, codes = _given(fit, cluster)
    crossed = crossing(terms, codes)
    if crossed is not None:
        raise OptionError(
            f"vcov: levels of {crossed.group} have rows in several clusters of {name}, so these "
            f"clusters are not independent under the model with {crossed.label}. Take clusters "
            "that hold every level of the random effects entirely."
        )
    return Grouping(name, Clusters.of(codes))


def coarsest(terms: Sequence[RandomTerm]) -> RandomTerm:
    """The term with the fewest levels: if any grouping factor contains all others, its."""
    return min(terms, key=lambda t: t.n_levels)


def crossing(terms: Sequence[RandomTerm], codes: NDArray[np.integer]) -> RandomTerm | None:
    """A term of which some level has rows in several clusters; None where all are nested."""
    return next((t for t in terms if not nested_in(t.codes, codes)), None)


def nested_in(inner: NDArray[np.integer], outer: NDArray[np.integer]) -> bool:
    """Whether every level of the one lies in a single level of the other."""
    parent = np.full(int(inner.max()) + 1, -1, dtype=np.int64)
    parent[inner] = outer
    return bool(np.all(parent[inner] == outer))


def _outermost(terms: Sequence[RandomTerm]) -> Grouping:
    """The factor in which all others are nested."""
    fewest = coarsest(terms)
    crossed = crossing(terms, fewest.codes)
    if crossed is not None:
        raise OptionError(
            f"vcov: cluster-robust variances need independent clusters, but {crossed.group} and "
            f"{fewest.group} are crossed, which links all observations. Take the model's own "
            "covariance (vcov=None); of clusters that hold every level entirely, "
            "m.robust_vcov(cluster=...) gives the covariance."
        )
    return Grouping(fewest.group, Clusters.of(fewest.codes))


def _given(fit: MixedModel, cluster: Any) -> tuple[str, NDArray[np.int64]]:
    """Name and codes (n,) of clusters the caller gives."""
    design = fit.design
    name = cluster if isinstance(cluster, str) else "cluster"
    if isinstance(cluster, str):
        own = next((t for t in design.random if t.group == cluster), None)
        if own is not None:
            return name, own.codes.astype(np.int64)
        column = open_frame(fit.request.data).read([cluster])[cluster]
    else:
        column = column_from_values("cluster", cluster)
    codes = _codes(column)
    total = design.state.n_rows
    if codes.size not in (design.n, total):
        raise DataError(
            f"vcov: cluster has {codes.size} entries; {design.n} (the rows used) or {total} (all "
            "rows of the data) are needed."
        )
    if codes.size != design.n:
        codes = codes[design.rows]
    if codes.min() < 0:
        raise DataError(
            f"vcov: {name} is missing in {int((codes < 0).sum())} of the rows used; every row "
            "needs a cluster."
        )
    return name, codes


def _codes(column: Column) -> NDArray[np.int64]:
    """Codes of any column, -1 where missing."""
    if isinstance(column, FactorColumn):
        return column.codes.astype(np.int64)
    missing = np.isnan(column.values)
    codes = np.unique(np.where(missing, 0.0, column.values), return_inverse=True)[1]
    return np.asarray(np.where(missing, -1, codes.reshape(-1)), dtype=np.int64)
