"""Pictures: each takes a fit (or data) and returns a figure; ``*_data`` gives its numbers.

matplotlib is imported by the first picture, not before, and pyplot never: figures belong to the
caller, nothing is shown or kept open behind their back.
"""

from __future__ import annotations

from mixeff.plots.bootstrap_draws import bootstrap_draws, bootstrap_draws_data
from mixeff.plots.caterpillar import caterpillar
from mixeff.plots.data import (
    FacetLines,
    caterpillar_data,
    facet_lines_data,
    qq_data,
    residuals_vs_fitted_data,
)
from mixeff.plots.facet_lines import facet_lines
from mixeff.plots.marginal_means import marginal_means, marginal_means_data
from mixeff.plots.profile_data import (
    profile_density_data,
    profile_pairs_data,
    profile_zeta_data,
)
from mixeff.plots.profile_density import profile_density
from mixeff.plots.profile_pairs import profile_pairs
from mixeff.plots.profile_zeta import profile_zeta
from mixeff.plots.qq import qq
from mixeff.plots.residuals_vs_fitted import residuals_vs_fitted

__all__ = [
    "FacetLines",
    "bootstrap_draws",
    "bootstrap_draws_data",
    "caterpillar",
    "caterpillar_data",
    "facet_lines",
    "facet_lines_data",
    "marginal_means",
    "marginal_means_data",
    "profile_density",
    "profile_density_data",
    "profile_pairs",
    "profile_pairs_data",
    "profile_zeta",
    "profile_zeta_data",
    "qq",
    "qq_data",
    "residuals_vs_fitted",
    "residuals_vs_fitted_data",
]
