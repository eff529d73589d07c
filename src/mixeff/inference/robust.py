"""Cluster-robust (sandwich) covariances of the fixed effects.

Of a linear model (Bell and McCaffrey 2002; Pustejovsky and Tipton 2018): CR0 without correction,
CR1 times m / (m - 1) for m clusters, CR2 unbiased if the model's covariance is right. Degrees of
freedom take the fitted V as the working covariance: with Omega_cd = g_c'V g_d, where the estimated
variance of a linear function is sum_c (g_c'y)^2,

    df = (sum_c Omega_cc)^2 / sum_cd Omega_cd^2                      (Satterthwaite)

and joint tests are Hotelling's T^2 with the degrees of freedom eta that match the total variance of
the entries of the matrix, HTZ in Tipton and Pustejovsky (2015):

    F = (eta - q + 1) / (eta q) Q ~ F(q, eta - q + 1) .

Of a generalized model CR0 and CR1, from the scores of the clusters and the Hessian of the Laplace
approximation in all parameters (White 1982), with a normal reference distribution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import OptionError
from mixeff.generalized.estimate import GeneralizedEstimate
from mixeff.inference.clusters import Grouping, grouping_of
from mixeff.inference.coefficients import covariance
from mixeff.inference.method import Asymptotic, FTest, Method, f_tail, independent_rows
from mixeff.linear.clusters import Clusters, WorkingCovariance, influence_of_rows

if TYPE_CHECKING:
    import pandas as pd

    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]

_NOTHING = 1e-9  # variances below this part of the model's (or of the largest) are zero


@dataclass(frozen=True)
class Robust(Method):
    """A cluster-robust covariance of a linear model with its small-sample tests.

    Attributes
    ----------
    matrix : (p, p) array
    M : (p, p) array, (X'V^-1 X)^-1 with V relative to sigma^2
    X : (n, p) array
    E : (n, p) array, see ``linear.clusters``
    V : WorkingCovariance
    clusters : Clusters
    """

    matrix: Floats
    M: Floats
    X: Floats
    E: Floats
    V: WorkingCovariance
    clusters: Clusters
    name: str
    sentence: str
    covariance_sentence: str

    @property
    def covariance(self) -> Floats:
        """(p, p) robust covariance of beta."""
        return self.matrix

    @property
    def model_covariance(self) -> Floats:
        """(p, p) M."""
        return self.M

    def df(self, L: Floats) -> Floats:
        """Satterthwaite's, of each row of L; NaN for a row without variance."""
        out = np.full(len(L), np.nan)
        for i, row in enumerate(np.asarray(L, dtype=np.float64)):
            K, G = self._moments(row[None, :])
            mean, total = self._pair(K, G, 0, 0)
            if mean > _NOTHING * float(K.sum()):
                out[i] = 2.0 * mean**2 / total
        return out

    def f_test(self, L: Floats, difference: Floats) -> FTest:
        """HTZ: Hotelling's T^2 with degrees of freedom from the total variance."""
        unit = unit_rows(L, self.M)
        q = len(unit)
        if q == 0:
            return FTest(np.nan, 0, np.nan, np.nan)
        Q = wald(unit @ L, unit @ difference, self.matrix)
        if np.isnan(Q):
            return FTest(np.nan, q, np.nan, np.nan)
        eta = self.total_df(unit @ L)
        den_df = eta - q + 1.0
        f = den_df / (eta * q) * Q
        if not den_df > 0:
            return FTest(np.nan, q, den_df, np.nan)
        return FTest(f, q, den_df, f_tail(f, q, den_df))

    def joint_df(self, rows: Floats, t_squared: Floats) -> float:
        """Eta - q + 1."""
        return self.total_df(rows) - len(rows) + 1.0

    def total_df(self, rows: Floats) -> float:
        """Eta = q (q + 1) / sum_st Var(d_st), d the robust covariance of the rows, its mean I.

        NaN where the data leave some combination of the rows without residuals.
        """
        rows = unit_rows(rows, self.M) @ rows
        q = len(rows)
        K, G = self._moments(rows)
        mean = np.array([[self._pair(K, G, s, t)[0] for t in range(q)] for s in range(q)])
        values, vectors = np.linalg.eigh(0.5 * (mean + mean.T))
        if not values[0] > _NOTHING * float(np.trace(K.sum(axis=0))):
            return np.nan
        half = vectors / np.sqrt(values)
        K, G = self._moments(half.T @ rows)
        total = sum(self._pair(K, G, s, t)[1] for s in range(q) for t in range(q))
        return q * (q + 1) / total

    def _moments(self, rows: Floats) -> tuple[Floats, Floats]:
        """K (m, q, q), p_s'V p_t per cluster, and G (q, m, p) with X'p_s turned by M^(1/2).

        Omega^st_cd = K_c^st [c = d] - G^s_c . G^t_d for p = E l.
        """
        P = self.E @ rows.T
        VP = self.V.times(P)
        q = len(rows)
        products = (P[:, :, None] * VP[:, None, :]).reshape(len(P), q * q)
        K = self.clusters.sums(products).reshape(-1, q, q)
        root = np.linalg.cholesky(self.M)
        G = np.stack([self.clusters.sums(self.X * P[:, [s]]) @ root for s in range(q)])
        return K, G

    @staticmethod
    def _pair(K: Floats, G: Floats, s: int, t: int) -> tuple[float, float]:
        """Mean and variance of the entry (s, t) of the robust covariance, sigma = 1."""
        kst, kss, ktt = K[:, s, t], K[:, s, s], K[:, t, t]
        gst = np.einsum("cp,cp->c", G[s], G[t])
        gss = np.einsum("cp,cp->c", G[s], G[s])
        gtt = np.einsum("cp,cp->c", G[t], G[t])
        inner, cross = G[s].T @ G[t], G[t].T @ G[s]
        same = float((kss * ktt - kss * gtt - ktt * gss).sum()) + float((inner**2).sum())
        mixed = float((kst**2 - 2.0 * kst * gst).sum()) + float(np.einsum("ab,ba->", cross, cross))
        return float((kst - gst).sum()), same + mixed


@dataclass(frozen=True)
class RobustAsymptotic(Asymptotic):
    """A cluster-robust covariance with normal and chi-square reference distributions."""

    model: Floats
    name: str
    sentence: str
    covariance_sentence: str

    @property
    def model_covariance(self) -> Floats:
        """(p, p) covariance of beta under the model, up to a factor."""
        return self.model

    def f_test(self, L: Floats, difference: Floats) -> FTest:
        """Wald's chi-square over its degrees of freedom; NaN where the covariance is singular."""
        unit = unit_rows(L, self.model)
        q = len(unit)
        if q == 0:
            return FTest(np.nan, 0, np.nan, np.nan)
        f = wald(unit @ L, unit @ difference, self.matrix) / q
        return FTest(f, q, np.inf, f_tail(f, q, np.inf))


def unit_rows(L: Floats, model: Floats) -> Floats:
    """(r, k) combinations of the rows of L: uncorrelated and of variance 1 under the model."""
    values, directions = independent_rows(L, model)
    return np.asarray(directions / np.sqrt(values)[:, None])


def wald(rows: Floats, difference: Floats, robust: Floats) -> float:
    """d'(L C L')^-1 d of rows (r, p), C robust; NaN where fewer clusters make it singular."""
    C = rows @ robust @ rows.T
    spread = np.linalg.eigvalsh(C)
    if not spread[0] > _NOTHING * spread[-1]:
        return np.nan
    return float(difference @ np.linalg.solve(C, difference))


def robust_method(
    fit: MixedModel, kind: str, *, asymptotic: bool = False, cluster: Any = None
) -> Method:
    """The cluster-robust method of a fit.

    Parameters
    ----------
    fit : MixedModel
    kind : {"CR0", "CR1", "CR2"}
    asymptotic : bool
        Normal and chi-square reference distributions in place of the small-sample ones.
    cluster : None, column name or array
        None: the outermost grouping factor. Observations of different clusters must be independent
        under the model.

    Raises
    ------
    OptionError
        The random effects link all clusters, CR2 of a generalized model, or quadrature.
    """
    grouping = grouping_of(fit, cluster)
    if grouping.clusters.m < 2:
        raise OptionError(f"vcov: {grouping.name} makes one cluster only; {kind} needs several.")
    if isinstance(fit.estimate, GeneralizedEstimate):
        return _generalized(fit, kind, grouping)
    estimate = fit.estimate
    design, clusters = fit.design, grouping.clusters
    V = WorkingCovariance.of(design, estimate.Lambda)
    M = estimate.unscaled_covariance
    E = influence_of_rows(design.X, M, V, clusters, adjusted=kind == "CR2")
    if kind == "CR1":
        E *= np.sqrt(clusters.m / (clusters.m - 1))
    shift = 0.0 if design.offset is None else design.offset
    residuals = design.response - shift - design.X @ estimate.beta
    parts = clusters.sums(E * residuals[:, None])
    matrix = parts.T @ parts
    if asymptotic:
        return RobustAsymptotic(matrix, M, kind, *_sentences(kind, grouping, NORMAL))
    sentence, which = _sentences(kind, grouping, SATTERTHWAITE)
    return Robust(
        matrix=matrix,
        M=M,
        X=design.X,
        E=E,
        V=V,
        clusters=clusters,
        name=kind,
        sentence=sentence,
        covariance_sentence=which,
    )


def robust_covariance(
    fit: MixedModel, kind: str | None = None, cluster: Any = None
) -> pd.DataFrame:
    """See ``LinearMixedModel.robust_vcov``."""
    import pandas as pd

    from mixeff.inference.method import ROBUST
    from mixeff.model.options import choose

    if kind is None:
        kind = "CR1" if isinstance(fit.estimate, GeneralizedEstimate) else "CR2"
    kind = choose("robust_vcov", "kind", kind, ROBUST)
    names = list(fit.design.names)
    matrix = robust_method(fit, kind, asymptotic=True, cluster=cluster).covariance
    return pd.DataFrame(matrix, index=names, columns=names)


def _generalized(fit: MixedModel, kind: str, grouping: Grouping) -> Method:
    if kind == "CR2":
        raise OptionError(
            'vcov: CR2 is for linear models; a generalized model has "CR0" and "CR1", from the '
            "scores of its clusters."
        )
    from mixeff.generalized.cluster_scores import cluster_covariance

    clusters = grouping.clusters
    assert fit.request.family is not None
    assert isinstance(fit.estimate, GeneralizedEstimate)
    matrix = cluster_covariance(
        fit.design, fit.request.family, fit.estimate, clusters, fit.request.control
    )
    if kind == "CR1":
        matrix = matrix * (clusters.m / (clusters.m - 1))
    model = covariance(fit.estimate)
    return RobustAsymptotic(matrix, model, kind, *_sentences(kind, grouping, NORMAL))


NORMAL = "normal (chi-square) reference distribution, right for many clusters."
SATTERTHWAITE = (
    "t tests with Satterthwaite's degrees of freedom, F tests by HTZ, both with the fitted model "
    "as working covariance."
)


def _sentences(kind: str, grouping: Grouping, reference: str) -> tuple[str, str]:
    """Covariance and reference distribution; covariance alone."""
    which = f"Cluster-robust covariance {kind} ({grouping.clusters.m} clusters: {grouping.name})"
    return f"{which}; {reference}", f"{which}."
