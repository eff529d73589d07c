"""Many new responses for one fitted model, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixeff.errors import DataError, OptionError
from mixeff.linear.many import fit_many
from mixeff.model.padding import total_rows
from mixeff.model.progress import ProgressBar

if TYPE_CHECKING:
    import pandas as pd

    from mixeff.model.fit import LinearMixedModel

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ManyFits:
    """One model fitted to m responses.

    Attributes
    ----------
    theta : (m, k) array
        Relative Cholesky factors, as ``LinearMixedModel.theta``.
    beta : (m, p) array
        Fixed effects, in the order of ``names``.
    sigma : (m,) array, residual standard deviations
    criterion : (m,) array
        REML criterion or ML deviance.
    loglik : (m,) array
    converged, singular : (m,) boolean arrays
    evaluations : (m,) int64 array, evaluations of the criterion
    names : tuple of str, the p coefficients
    theta_names : tuple of str
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
    fit: LinearMixedModel,
    Y: ArrayLike,
    *,
    threads: int | None = None,
    progress: bool | None = None,
) -> ManyFits:
    """Fit the same model to many responses: bootstrap replicates, genes, voxels.

    Everything but the response is shared, and small models are fitted in compiled code on all
    cores. Every column is fitted as strictly as `lmer` does.

    Parameters
    ----------
    fit : LinearMixedModel
    Y : (n, m) array
        A response per column: n is the number of rows used, or of all rows of the data.
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
        Y is not numeric, of another shape, or has a missing value: the column is named.
    DesignError
        A response leaves nothing to estimate a variance from.

    Examples
    --------
    >>> import mixeff as mx
    >>> m = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
    >>> import numpy as np
    >>> Y = np.random.default_rng(1).normal(m.fitted[:, None], m.sigma, size=(180, 100))
    >>> many = mx.refit_many(m, Y)
    >>> many.beta.shape, bool(many.converged.all())
    ((100, 2), True)
    """
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise OptionError(f"refit_many: threads must be at least 1 or None, not {threads!r}.")
    if fit.request.family is not None:
        raise OptionError(
            "refit_many: only linear models share their factorization between responses. Refit a "
            "generalized model one by one: [m.refit(y) for y in Y.T]."
        )
    values = _checked(fit, Y)
    if progress is None:
        progress = fit.request.control.progress
    with ProgressBar(values.shape[1], progress) as bar:
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


def _checked(fit: LinearMixedModel, Y: ArrayLike) -> Floats:
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
        names = list(getattr(Y, "columns", ()))
        column = f"{bad[0]} (counted from 0)" if not names else repr(names[bad[0]])
        row = int(np.flatnonzero(~np.isfinite(values[:, bad[0]]))[0])
        raise DataError(
            f"refit_many: column {column} of the responses is missing or infinite "
            f"(first: row {int(fit.design.rows[row])}, counted from 0); {len(bad)} of "
            f"{values.shape[1]} columns are. Leave such columns out, or fit them one by one with "
            "lmer, which leaves out rows."
        )
    return values


def _theta_names(fit: LinearMixedModel) -> tuple[str, ...]:
    """lme4's names: ``Subject.Days.(Intercept)``."""
    names = []
    for term in fit.design.random:
        for c, column in enumerate(term.columns):
            names.append(f"{term.group}.{column}")
            names += [f"{term.group}.{row}.{column}" for row in term.columns[c + 1 :]]
    return tuple(names)
