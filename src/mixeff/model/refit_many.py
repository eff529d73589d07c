"""Many new responses for one fitted model, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixeff.errors import ConvergenceWarning, DataError, OptionError
from mixeff.frames.notices import notify
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.linear.many import fit_many
from mixeff.model.padding import total_rows
from mixeff.model.progress import ProgressBar

if TYPE_CHECKING:
    import pandas as pd

    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ManyFits:
    """One model fitted to m responses.

    Attributes
    ----------
    theta : (m, k) array
        Cholesky factors, as the ``theta`` of a fit: relative to sigma for a linear model, on the
        scale of the link for a generalized one.
    beta : (m, p) array
        Fixed effects, in the order of ``names``.
    sigma : (m,) array
        As the ``sigma`` of a fit: residual standard deviations; for a generalized model roots of
        the dispersion, 1 where there is none.
    criterion : (m,) array
        REML criterion or ML deviance; minus two log-likelihoods for a generalized model.
    loglik : (m,) array
    converged, singular : (m,) boolean arrays
    evaluations : (m,) int64 array, evaluations of the criterion
    names : tuple of str, the p coefficients
    theta_names : tuple of str
    dispersion : (m,) array or None
        As the ``dispersion`` of a generalized fit (the shape of a negative binomial).
    troubles : dict, response -> sentences
        What `refit` would have warned of: which numbers of the fit mean nothing, and why
        (separated responses, a variance without end, no optimum). Generalized models only.
    """

    theta: Floats
    beta: Floats
    sigma: Floats
    criterion: Floats
    loglik: Floats
    converged: NDArray[np.bool_]
    singular: NDArray[np.bool_]
    evaluations: NDArray[np.int64]
    names: tuple[str, ...]
    theta_names: tuple[str, ...]
    dispersion: Floats | None = None
    troubles: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.sigma.shape[0])

    def __repr__(self) -> str:
        return (
            f"<{len(self)} fits: {int(self.converged.sum())} converged, "
            f"{int(self.singular.sum())} singular>"
        )

    def to_frame(self) -> pd.DataFrame:
        """A row per response: coefficients, theta, sigma, loglik, converged ..."""
        import pandas as pd

        columns: dict[str, Any] = {name: self.beta[:, j] for j, name in enumerate(self.names)}
        columns |= {name: self.theta[:, j] for j, name in enumerate(self.theta_names)}
        if self.dispersion is not None:
            columns["dispersion"] = self.dispersion
        columns |= {
            "sigma": self.sigma,
            "criterion": self.criterion,
            "loglik": self.loglik,
            "converged": self.converged,
            "singular": self.singular,
            "evaluations": self.evaluations,
        }
        return pd.DataFrame(columns)


def refit_many(
    fit: MixedModel,
    Y: ArrayLike,
    *,
    threads: int | None = None,
    progress: bool | None = None,
) -> ManyFits:
    """Fit the same model to many responses: bootstrap replicates, genes, voxels.

    Everything but the response is shared, and small models (generalized ones with one grouping
    factor) are fitted in compiled code on all cores. Every column is fitted as strictly as `lmer`
    and `glmer` do, to the optimum `refit` finds.

    Parameters
    ----------
    fit : LinearMixedModel or GeneralizedMixedModel
    Y : (n, m) array
        A response per column: n is the number of rows used, or of all rows of the data. For a
        binomial model zeros and ones, or proportions of the trials of the fit.
    threads : int, optional
        Results are the same for any number. None takes that of the fit's ``control``.
    progress : bool, optional
        Show a bar on standard error; None shows it when a person watches.

    Returns
    -------
    ManyFits

    Raises
    ------
    DataError
        Y is not numeric, of another shape, has a missing value, or one the family does not allow:
        the column is named.
    DesignError
        A response leaves nothing to estimate a variance or a probability from.
    ConvergenceError
        The likelihood of a generalized model cannot be computed for a response.

    Warns
    -----
    ConvergenceWarning
        Once, if numbers of some generalized fits mean nothing; ``troubles`` has the sentences.

    Examples
    --------
    >>> import mixeff as mx
    >>> m = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
    >>> import numpy as np
    >>> Y = np.random.default_rng(1).normal(m.fitted[:, None], m.sigma, size=(180, 100))
    >>> many = mx.refit_many(m, Y)
    >>> many.beta.shape, bool(many.converged.all())
    ((100, 2), True)
    >>> cbpp = mx.load_dataset("cbpp")
    >>> g = mx.glmer(
    ...     "cbind(incidence, size - incidence) ~ period + (1 | herd)",
    ...     cbpp,
    ...     family="binomial",
    ... )
    >>> mx.refit_many(g, g.simulate(100, seed=1)).beta.shape
    (100, 4)
    """
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise OptionError(f"refit_many: threads must be at least 1 or None, not {threads!r}.")
    values = _checked(fit, Y)
    if progress is None:
        progress = fit.request.control.progress
    with ProgressBar(values.shape[1], progress) as bar:
        if isinstance(fit.estimate, GeneralizedEstimate):
            return _generalized(fit, fit.estimate, Y, values, threads, bar)
        return _linear(fit, values, threads, bar)


def _linear(fit: MixedModel, values: Floats, threads: int | None, bar: ProgressBar) -> ManyFits:
    assert not isinstance(fit.estimate, GeneralizedEstimate)
    found = fit_many(
        fit.design,
        fit.estimate,
        values,
        control=fit.request.control,
        threads=threads,
        watch=bar.show,
    )
    return ManyFits(
        theta=found.theta,
        beta=found.beta,
        sigma=found.sigma,
        criterion=found.criterion,
        loglik=-0.5 * found.criterion,
        converged=found.converged,
        singular=found.singular,
        evaluations=found.evaluations,
        names=fit.design.names,
        theta_names=_theta_names(fit),
    )


def _generalized(
    fit: MixedModel,
    estimate: GeneralizedEstimate,
    Y: ArrayLike,
    values: Floats,
    threads: int | None,
    bar: ProgressBar,
) -> ManyFits:
    from mixeff.model.generalized_many import Refits

    refits = Refits.of(fit, threads)
    found = refits.estimates(values, bar.show)
    if found.errors:
        column = min(found.errors)
        error, others = found.errors[column], len(found.errors)
        raise type(error)(
            f"refit_many: {_name(Y, column)} of the responses cannot be fitted "
            f"({others} of {values.shape[1]} columns cannot). {str(error).removeprefix('refit: ')}"
        )
    if found.troubles:
        column = min(found.troubles)
        notify(
            f"refit_many: numbers of {len(found.troubles)} of {values.shape[1]} fits mean nothing, "
            f"those of {_name(Y, column)} first (the result's troubles has them all). "
            f"{found.troubles[column][0]}",
            ConvergenceWarning,
        )
    sigma = refits.sigma(found)
    return ManyFits(
        theta=found.theta,
        beta=found.beta,
        sigma=np.ones(len(found.loglik)) if sigma is None else sigma,
        criterion=-2.0 * found.loglik,
        loglik=found.loglik,
        converged=found.converged,
        singular=refits.singular(found),
        evaluations=found.evaluations,
        names=fit.design.names,
        theta_names=_theta_names(fit),
        dispersion=None if estimate.dispersion is None else found.dispersion,
        troubles=found.troubles,
    )


def _name(Y: ArrayLike, column: int) -> str:
    """A column as the caller knows it."""
    names = list(getattr(Y, "columns", ()))
    return f"column {names[column]!r}" if names else f"column {column} (counted from 0)"


def _checked(fit: MixedModel, Y: ArrayLike) -> Floats:
    """(n, m) responses on the rows used."""
    try:
        values = np.asarray(Y, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError("refit_many: the responses are not numeric.") from None
    n, total = fit.design.n, total_rows(fit.design)
    if values.ndim != 2 or values.shape[0] not in (n, total):
        wanted = f"{n}" if n == total else f"{n} (the rows used) or {total} (all rows)"
        raise DataError(
            f"refit_many: the responses have shape {values.shape}; a matrix with a column per "
            f"response and {wanted} rows is needed."
        )
    if values.shape[0] != n:
        values = values[fit.design.rows]
    # A sum is finite only if all its parts are, but for overflow, which the second look sorts out.
    with np.errstate(all="ignore"):
        suspects = np.flatnonzero(~np.isfinite(np.ones(n) @ values))
    bad = [j for j in suspects if not np.isfinite(values[:, j]).all()]
    if bad:
        row = int(np.flatnonzero(~np.isfinite(values[:, bad[0]]))[0])
        raise DataError(
            f"refit_many: {_name(Y, int(bad[0]))} of the responses is missing or infinite "
            f"(first: row {int(fit.design.rows[row])}, counted from 0); {len(bad)} of "
            f"{values.shape[1]} columns are. Leave such columns out, or fit them one by one with "
            "update(data=...), which leaves out rows."
        )
    return values


def _theta_names(fit: MixedModel) -> tuple[str, ...]:
    """lme4's names: ``Subject.Days.(Intercept)``."""
    names = []
    for term in fit.design.random:
        for c, column in enumerate(term.columns):
            names.append(f"{term.group}.{column}")
            names += [f"{term.group}.{row}.{column}" for row in term.columns[c + 1 :]]
    return tuple(names)
