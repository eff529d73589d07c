"""Random effects, labelled: one table per grouping factor, its terms side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from mixeff.design.design import Design
    from mixeff.linear.estimate import LinearEstimate
    from mixeff.model.mixed import Estimate

Floats = NDArray[np.float64]


def terms_by_group(design: Design) -> dict[str, list[int]]:
    """Indices of the random terms on each grouping factor, in the order of the terms."""
    groups: dict[str, list[int]] = {}
    for i, term in enumerate(design.random):
        groups.setdefault(term.group, []).append(i)
    return groups


def random_effects(design: Design, estimate: Estimate) -> dict[str, pd.DataFrame]:
    """Conditional modes per grouping factor: levels in the rows, model columns side by side."""
    import pandas as pd

    frames = {}
    for group, terms in terms_by_group(design).items():
        columns = [name for i in terms for name in design.random[i].columns]
        modes = np.hstack([estimate.modes[i] for i in terms])
        index = pd.Index(list(design.random[terms[0]].levels), dtype=object)
        frames[group] = pd.DataFrame(modes, index=index, columns=columns)
    return frames


def coefficients_by_level(design: Design, estimate: Estimate) -> dict[str, pd.DataFrame]:
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

    The diagonal blocks of sigma^2 Lambda (Lambda'Z'WZ Lambda + I)^-1 Lambda' (Bates et al. 2015,
    section 4.4.1), all terms on one grouping factor together: terms are independent before the
    data are seen, not after.
    """
    from mixeff.linear.working import working_model

    model = working_model(design)
    coordinates, partition = model.coordinates, model.partition
    theta = coordinates.working_theta(partition, estimate.theta)
    factor = model.system.factorize(partition.block_factors(theta))
    result = {}
    for terms, block in zip(partition.members, factor.conditional_variances(), strict=True):
        T = scipy.linalg.block_diag(*[coordinates.random[i].matrix for i in terms])
        result[design.random[terms[0]].group] = estimate.sigma**2 * (T @ block @ T.T)
    return result
