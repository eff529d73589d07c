"""By which covariance and degrees of freedom linear functions of beta are judged.

Every test and interval of fixed effects asks a `Method` for three things and nothing else: the
covariance of beta, the degrees of freedom of single linear functions, and the F test of several.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import OptionError
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.inference.coefficients import covariance
from mixeff.inference.tails import f_tail, t_quantile, t_tail
from mixeff.model.options import choose

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]

__all__ = [
    "Asymptotic",
    "FTest",
    "Method",
    "f_tail",
    "independent_rows",
    "method_of",
    "t_quantile",
    "t_tail",
]

DDF = ("satterthwaite", "kenward-roger", "asymptotic")
ROBUST = ("CR0", "CR1", "CR2")

NO_P = "No p values: ddf=None asks for no reference distribution."

TOO_FEW = "Not tested, as the clusters are too few for so many hypotheses at once: {}."

# Combinations of rows (of one variance) whose standard error is below this part of the largest are
# rounding: the rows depend on each other.
_RANK = 1e-9

_UNITS = 1e-4  # standard errors of rows further apart would cost the smaller ones their digits


@dataclass(frozen=True, slots=True)
class FTest:
    """A joint test of L beta = rhs.

    Attributes
    ----------
    f_value : float
    num_df : int, rank of L
    den_df : float, infinite where the reference distribution is chi-square
    p_value : float
    scale : float
        What the quadratic form over num_df was multiplied by to give F (Kenward-Roger's lambda).
    """

    f_value: float
    num_df: int
    den_df: float
    p_value: float
    scale: float = 1.0

    @property
    def untested(self) -> bool:
        """There are hypotheses, but no statistic for them."""
        return self.num_df > 0 and bool(np.isnan(self.f_value))


class Method(ABC):
    """Covariance of beta and degrees of freedom of its linear functions."""

    name: str
    """What ``ddf=`` (or ``vcov=``) calls it."""

    sentence: str
    """One line for the note under a table: which method, which df, which assumption."""

    covariance_sentence: str = ""
    """Which covariance, where it is not the model's."""

    def notes(self, *, tests: bool = True) -> tuple[str, ...]:
        """What a table says of the method; without tests of the covariance alone."""
        if tests:
            return (self.sentence,)
        return (self.covariance_sentence, NO_P) if self.covariance_sentence else (NO_P,)

    @property
    @abstractmethod
    def covariance(self) -> Floats:
        """(p, p) covariance of beta."""

    @property
    def model_covariance(self) -> Floats:
        """(p, p) covariance of beta under the model, up to a factor.

        Which rows are independent, and what a term is given others, depend on it alone, whatever
        covariance they are then judged by.
        """
        return self.covariance

    @abstractmethod
    def df(self, L: Floats) -> Floats:
        """Degrees of freedom of each row of L (k, p): (k,), infinite for a normal reference."""

    def f_test(self, L: Floats, difference: Floats) -> FTest:
        """The joint test that L beta equals its hypothetical values.

        Parameters
        ----------
        L : (k, p) array
        difference : (k,) array, L beta - rhs
        """
        values, directions = independent_rows(L, self.covariance)
        rank = values.size
        if rank == 0:
            return FTest(np.nan, 0, np.nan, np.nan)
        t_squared = (directions @ difference) ** 2 / values
        f = float(t_squared.sum() / rank)
        den_df = self.joint_df(directions @ L, t_squared)
        return FTest(f, rank, den_df, f_tail(f, rank, den_df))

    @abstractmethod
    def joint_df(self, rows: Floats, t_squared: Floats) -> float:
        """Denominator degrees of freedom of a joint test of uncorrelated rows (r, p)."""


@dataclass(frozen=True)
class Asymptotic(Method):
    """Normal and chi-square reference distributions: the number of groups goes to infinity."""

    matrix: Floats
    name = "asymptotic"
    sentence = (
        "Normal (chi-square) reference distribution: variances taken as known, right for many "
        "groups."
    )

    @property
    def covariance(self) -> Floats:
        """(p, p) covariance of beta."""
        return self.matrix

    def df(self, L: Floats) -> Floats:
        """Infinite."""
        return np.full(len(L), np.inf)

    def joint_df(self, rows: Floats, t_squared: Floats) -> float:
        """Infinite."""
        return np.inf


def method_of(
    fit: MixedModel,
    ddf: str | None = "auto",
    vcov: str | None = None,
    *,
    function: str,
) -> Method:
    """The method of a fit by the names the caller uses.

    Parameters
    ----------
    fit : MixedModel
    ddf : {"auto", "satterthwaite", "kenward-roger", "asymptotic"} or None
        ``"auto"``: Satterthwaite for a linear model, asymptotic for a generalized one. None is
        asymptotic here; tables that then show no p value see to that themselves.
    vcov : {None, "CR0", "CR1", "CR2"}
        None: the model's covariance. The others are cluster-robust, with Satterthwaite df of their
        own ("auto", "satterthwaite"), "asymptotic" or None, but not "kenward-roger".
    function : str, what the caller called, for messages

    Raises
    ------
    OptionError
        A name that does not exist, or a method the model does not have.

    Notes
    -----
    Satterthwaite's and Kenward and Roger's methods are computed once for every fit and kept with
    it, k + 2 or k + 4 matrices of (p, p) numbers. Robust ones hold arrays as long as the data:
    they are made anew.
    """
    chosen = _chosen_df(fit, ddf, function)
    if vcov is not None:
        return _robust(fit, vcov, chosen, function)
    if chosen == "asymptotic":
        return Asymptotic(covariance(fit.estimate))
    if chosen == "satterthwaite":
        from mixeff.inference.satterthwaite import satterthwaite as make
    else:
        from mixeff.inference.kenward_roger import kenward_roger as make
    return fit._remembered.get(("method", chosen), lambda: frozen(make(fit)))


def frozen(method: Method) -> Method:
    """The method with arrays that nobody can write to."""
    for value in vars(method).values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    return method


def _chosen_df(fit: MixedModel, ddf: str | None, function: str) -> str:
    """The name of the degrees of freedom, of those the model has."""
    generalized = isinstance(fit.estimate, GeneralizedEstimate)
    chosen = "asymptotic" if ddf is None else choose(function, "ddf", ddf, ("auto", *DDF))
    if chosen == "auto":
        return "asymptotic" if generalized else "satterthwaite"
    if generalized and chosen != "asymptotic":
        raise OptionError(
            f'{function}: ddf="{chosen}" is for linear models; the tests of a generalized model '
            "are asymptotic. Leave ddf out, or compare models with mixeff.anova."
        )
    return chosen


def _robust(fit: MixedModel, vcov: str, ddf: str, function: str) -> Method:
    """The cluster-robust method; its small-sample tests are Satterthwaite's."""
    from mixeff.inference.robust import robust_method

    kind = choose(function, "vcov", vcov, ROBUST)
    if ddf == "kenward-roger":
        raise OptionError(
            f"{function}: Kenward and Roger's method adjusts the model's own covariance; with "
            f'vcov="{kind}" take ddf="satterthwaite" or "asymptotic", or leave ddf out.'
        )
    return robust_method(fit, kind, asymptotic=ddf == "asymptotic")


def moment_df(L: Floats, covariance: Floats, slopes: Floats, spread: Floats) -> Floats:
    """2 v^2 / Var(v) of each row of L, v = L C L' the variance it is estimated to have.

    The degrees of freedom of the multiple of chi-square with the first two moments of v
    (Satterthwaite 1946); NaN for a row of zeros.

    Parameters
    ----------
    L : (k, p) array
    covariance : (p, p) array, C
    slopes : (m, p, p) array, derivatives of C (up to sign) in the variance parameters
    spread : (m, m) array, covariance of their estimates
    """
    L = np.asarray(L, dtype=np.float64)
    v = np.einsum("ka,ab,kb->k", L, covariance, L)
    g = ((L @ slopes) * L).sum(axis=2).T
    variance = np.einsum("kj,ji,ki->k", g, spread, g)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(v > 0, 2.0 * v**2 / variance, np.nan))


def independent_rows(L: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """Uncorrelated combinations of L beta: variances (r,) and combinations (r, k).

    The eigenvectors of L C L', from the singular values of L C^(1/2), which keep twice the digits;
    directions without variance are left out. How many there are does not depend on the units of
    rows and coefficients; where the rows' standard errors lie far apart, the combinations are of
    rows brought to one variance.
    """
    A = L @ _square_root(covariance)
    length = np.linalg.norm(A, axis=1)
    unit = np.where(length > 0, length, 1.0)[:, None]
    sizes = np.linalg.svd(A / unit, compute_uv=False)
    rank = int(np.count_nonzero(sizes > _RANK * sizes.max(initial=0.0)))
    if length.min(initial=np.inf) > _UNITS * length.max(initial=0.0):
        unit = np.ones_like(unit)
    U, sizes, _ = np.linalg.svd(A / unit, full_matrices=False)
    return np.asarray(sizes[:rank] ** 2), (U[:, :rank] / unit).T


def _square_root(covariance: Floats) -> Floats:
    """R with R R' = covariance, the coefficients scaled to variance 1 first."""
    size = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    unit = np.where(size > 0, size, 1.0)
    values, vectors = np.linalg.eigh(covariance / np.outer(unit, unit))
    return np.asarray(unit[:, None] * vectors * np.sqrt(np.maximum(values, 0.0)))
