"""Random effects, labelled: one table per grouping factor, its terms side by side."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from mixeff.design.design import Design, RandomTerm
    from mixeff.linear.estimate import LinearEstimate

Floats = NDArray[np.float64]


def terms_by_group(design: Design) -> dict[str, list[int]]:
    """Indices of the random terms on each grouping factor, in the order of the terms."""
    groups: dict[str, list[int]] = {}
    for i, term in enumerate(design.random):
        groups.setdefault(term.group, []).append(i)
    return groups


def random_effects(design: Design, estimate: LinearEstimate) -> dict[str, pd.DataFrame]:
    """Conditional modes per grouping factor: levels in the rows, model columns side by side."""
    import pandas as pd

    frames = {}
    for group, terms in terms_by_group(design).items():
        columns = [name for i in terms for name in design.random[i].columns]
        modes = np.hstack([estimate.modes[i] for i in terms])
        index = pd.Index(list(design.random[terms[0]].levels), dtype=object)
        frames[group] = pd.DataFrame(modes, index=index, columns=columns)
    return frames


def coefficients_by_level(design: Design, estimate: LinearEstimate) -> dict[str, pd.DataFrame]:
    """Fixed plus random effects of every level.

    Columns are the fixed effects, then the model columns that occur in random terms only (of any
    grouping factor; zero where a factor has no such term), as lme4's ``coef``.
    """
    import pandas as pd

    fixed = dict(zip(design.names, estimate.beta.tolist(), strict=True))
    for term in design.random:
        for name in term.columns:
            fixed.setdefault(name, 0.0)
    result = {}
    for group, modes in random_effects(design, estimate).items():
        values = np.tile(np.array(list(fixed.values())), (len(modes), 1))
        for j, name in enumerate(modes.columns):
            values[:, list(fixed).index(name)] += modes.iloc[:, j].to_numpy()
        result[group] = pd.DataFrame(values, index=modes.index, columns=list(fixed))
    return result


def conditional_covariances(design: Design, estimate: LinearEstimate) -> dict[str, Floats]:
    """(J, q, q) covariances of the random effects given the data, theta and beta, per factor.

    Terms on one grouping factor are independent before the data are seen, not after: they are
    taken together as one term with a block-diagonal factor.
    """
    from mixeff.linear.variances import conditional_variances

    merged_design, merged_estimate = merge_terms(design, estimate)
    blocks = conditional_variances(merged_design, merged_estimate)
    return {
        term.group: block for term, block in zip(merged_design.random, blocks, strict=True)
    }


def merge_terms(design: Design, estimate: LinearEstimate) -> tuple[Design, LinearEstimate]:
    """The same model with one random term per grouping factor, Lambda block-diagonal."""
    groups = terms_by_group(design)
    if len(groups) == len(design.random):
        return design, estimate
    terms, factors, modes = [], [], []
    for indices in groups.values():
        terms.append(_side_by_side([design.random[i] for i in indices]))
        factors.append(_block_diagonal([estimate.Lambda[i] for i in indices]))
        modes.append(np.hstack([estimate.modes[i] for i in indices]))
    theta = np.concatenate([lower_triangle(factor) for factor in factors])
    return (
        dataclasses.replace(design, random=tuple(terms)),
        dataclasses.replace(
            estimate, theta=theta, Lambda=tuple(factors), modes=tuple(modes)
        ),
    )


def _side_by_side(terms: list[RandomTerm]) -> RandomTerm:
    if len(terms) == 1:
        return terms[0]
    return dataclasses.replace(
        terms[0],
        columns=tuple(name for term in terms for name in term.columns),
        values=np.ascontiguousarray(np.hstack([term.values for term in terms])),
        label=" + ".join(term.label for term in terms),
    )


def _block_diagonal(blocks: list[Floats]) -> Floats:
    size = sum(block.shape[0] for block in blocks)
    out = np.zeros((size, size))
    start = 0
    for block in blocks:
        stop = start + block.shape[0]
        out[start:stop, start:stop] = block
        start = stop
    return out


def lower_triangle(factor: Floats) -> Floats:
    """Entries on and below the diagonal, column by column: lme4's order of theta."""
    rows, columns = np.triu_indices(factor.shape[0])
    return factor[columns, rows]
