"""Kenward and Roger's small-sample covariance, F statistic and degrees of freedom.

Kenward and Roger (1997), for V linear in its parameters phi, which are sigma^2 and the entries of
the covariance matrices sigma^2 Sigma_i. With Phi = (X'V^-1 X)^-1 at the REML estimates,

    P_j = -X'V^-1 V_j V^-1 X,   Q_jk = X'V^-1 V_j V^-1 V_k V^-1 X,
    W = 2 [tr(V^-1 V_j V^-1 V_k) - 2 tr(Phi Q_jk) + tr(Phi P_j Phi P_k)]^-1,
    Phi_A = Phi + 2 Phi [sum_jk W_jk (Q_jk - P_j Phi P_k)] Phi.

F of L beta uses Phi_A and is scaled by lambda; lambda and the denominator's degrees of freedom
match the first two moments of F (section 3 there, with the rule that reproduces exact F tests).

What belongs to sigma^2 follows from the rest by V = sigma^2 I + sum_j phi_j V_j: for example
tr(V^-1 V_k) = sigma^2 tr(V^-1 V^-1 V_k) + sum_j phi_j tr(V^-1 V_j V^-1 V_k). So nothing of the size
of the data or of all random effects squared is formed; see ``linear/trace_products.py`` for costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import OptionError
from mixeff.inference.method import FTest, Method, f_tail, independent_rows, moment_df
from mixeff.linear.fit import fit_linear
from mixeff.linear.sigma_coordinates import pack
from mixeff.linear.variance_information import (
    VarianceInformation,
    trace_work,
    variance_information,
)
from mixeff.linear.working import Prepared, working_model

if TYPE_CHECKING:
    from mixeff.linear.estimate import LinearEstimate
    from mixeff.linear.trace_products import TraceWork
    from mixeff.model.mixed import MixedModel

Floats = NDArray[np.float64]

LARGEST_WORK = 2e12
"""Multiplications of the dense tail, beyond which the traces take several minutes."""

LARGEST_MEMORY = 6e9

_SINGULAR = 1e-12  # eigenvalues of the scaled information below this part of the largest

SENTENCE = (
    "t and F tests with Kenward and Roger's degrees of freedom and covariance: corrected for the "
    "variance parameters being estimated."
)
REFITTED = " Variances are those of the REML fit of the same model."


@dataclass(frozen=True)
class KenwardRoger(Method):
    """The adjusted covariance with degrees of freedom and scale of its F tests.

    Attributes
    ----------
    adjusted : (p, p) array, Phi_A
    plain : (p, p) array, Phi
    changes : (m, p, p) array, Phi P_j Phi
    weights : (m, m) array, W
    """

    adjusted: Floats
    plain: Floats
    changes: Floats
    weights: Floats
    sentence: str = SENTENCE
    name = "kenward-roger"

    @property
    def covariance(self) -> Floats:
        """(p, p) adjusted covariance of beta."""
        return self.adjusted

    def df(self, L: Floats) -> Floats:
        """2 / A of each row, what the general rule gives for one; NaN for a row of zeros."""
        return moment_df(L, self.plain, self.changes, self.weights)

    def f_test(self, L: Floats, difference: Floats) -> FTest:
        """The scaled F test that L beta equals its hypothetical values."""
        values, directions = independent_rows(L, self.plain)
        q = values.size
        if q == 0:
            return FTest(np.nan, 0, np.nan, np.nan)
        rows, d = directions @ L, directions @ difference
        wald = float(d @ np.linalg.solve(rows @ self.adjusted @ rows.T, d)) / q
        scale, den_df = self._reference(rows, values)
        return FTest(scale * wald, q, den_df, f_tail(scale * wald, q, den_df), scale)

    def joint_df(self, rows: Floats, t_squared: Floats) -> float:
        """Denominator degrees of freedom of rows (r, p) that are uncorrelated."""
        values, directions = independent_rows(rows, self.plain)
        return self._reference(directions @ rows, values)[1]

    def _reference(self, rows: Floats, values: Floats) -> tuple[float, float]:
        """Scale lambda and denominator df for rows with L Phi L' = diag(values)."""
        unit = rows / np.sqrt(values)[:, None]
        M = unit @ self.changes @ unit.T
        traces = np.trace(M, axis1=1, axis2=2)
        A1 = float(traces @ self.weights @ traces)
        A2 = float((np.tensordot(self.weights, M, axes=1) * M.transpose(0, 2, 1)).sum())
        return scale_and_df(A1, A2, len(rows))


def scale_and_df(A1: float, A2: float, q: int) -> tuple[float, float]:
    """Lambda and the denominator df of Kenward and Roger (1997), section 3.

    Parameters
    ----------
    A1, A2 : float, sum_jk W_jk tr(Theta Phi P_j Phi) tr(...) and the trace of the product
    q : int, rank of L

    Returns
    -------
    lambda, df : float
        NaN where the moments match no F distribution.
    """
    if not A2 > 0:
        return 1.0, float("inf")
    B = (A1 + 6.0 * A2) / (2.0 * q)
    g = ((q + 1) * A1 - (q + 4) * A2) / ((q + 2) * A2)
    c = np.array([g, q - g, q + 2 - g]) / (3 * q + 2 * (1 - g))
    shrink, V1, V2 = 1.0 - A2 / q, 1.0 - c[1] * B, 1.0 - c[2] * B
    # Both vanish together in designs where F is exact with two denominator df.
    ratio = 1.0 if abs(shrink) < 1e-14 and abs(V1) < 1e-14 else shrink / V1 if V1 else np.nan
    rho = ratio**2 * (1.0 + c[0] * B) / V2 / q if V2 else np.inf
    if q * rho == 1.0:
        return 1.0, float("inf")
    df = float(4.0 + (q + 2) / (q * rho - 1.0))
    if abs(df - 2.0) < 0.01:
        return 1.0, df
    return float(df * shrink / (df - 2.0)), df


def kenward_roger(fit: MixedModel) -> Method:
    """Kenward and Roger's method for a linear mixed model; an ML fit is refitted by REML.

    Raises
    ------
    OptionError
        The traces would take many minutes: too many levels of crossed factors.
    """
    estimate: LinearEstimate = fit.estimate  # type: ignore[assignment]
    prepared = estimate.prepared or working_model(fit.design).prepared
    refuse_large(trace_work(prepared, estimate.theta))
    sentence = SENTENCE
    if not estimate.reml:
        control = fit.request.control
        estimate = fit_linear(fit.design, reml=True, control=control, like=estimate)
        prepared = estimate.prepared or prepared
        sentence += REFITTED
    info = with_residual(prepared, estimate, variance_information(prepared, estimate))
    assert info.trace_products is not None
    C, P = info.covariance, -info.first
    W = 2.0 * _inverse(info.restricted(info.trace_products))
    inner = np.tensordot(W, info.second, axes=2)
    inner -= (np.tensordot(W, P, axes=1) @ C @ P).sum(axis=0)
    back = estimate.sigma * prepared.coordinates.fixed.matrix
    adjusted = C + 2.0 * C @ (0.5 * (inner + inner.T)) @ C
    return KenwardRoger(
        adjusted=back @ adjusted @ back.T,
        plain=back @ C @ back.T,
        changes=back @ (C @ P @ C) @ back.T,
        weights=W,
        sentence=sentence,
    )


def refuse_large(work: TraceWork) -> None:
    """Raise OptionError for what would take many minutes or more memory than most have."""
    if work.multiplications <= LARGEST_WORK and work.memory <= LARGEST_MEMORY:
        return
    raise OptionError(
        f"Kenward-Roger needs traces over all pairs of the {work.tail} columns of crossed "
        f"factors, about {work.multiplications:.0e} multiplications and {work.memory / 1e9:.0f} GB."
        ' Take ddf="satterthwaite" (which then uses the average information) or ddf="asymptotic": '
        "with so many levels the corrections are small."
    )


def with_residual(
    prepared: Prepared, estimate: LinearEstimate, info: VarianceInformation
) -> VarianceInformation:
    """The same moments with those of sigma^2 as the last parameter (sigma = 1)."""
    assert info.trace_products is not None
    theta = prepared.coordinates.working_theta(prepared.partition, estimate.theta)
    phi = pack([L @ L.T for L in prepared.partition.term_factors(theta)])
    first0 = np.linalg.inv(info.covariance) - np.tensordot(phi, info.first, axes=1)
    second0 = info.first - np.tensordot(phi, info.second, axes=1)  # (k, p, p): of sigma^2 and k
    second00 = first0 - np.tensordot(phi, second0, axes=1)
    K0 = info.traces - phi @ info.trace_products
    K00 = prepared.products.n - phi @ info.traces - phi @ K0
    m, p = info.first.shape[:2]
    second = np.empty((m + 1, m + 1, p, p))
    second[:m, :m] = info.second
    second[m, :m] = second0
    second[:m, m] = second0.transpose(0, 2, 1)
    second[m, m] = 0.5 * (second00 + second00.T)
    K = np.empty((m + 1, m + 1))
    K[:m, :m] = info.trace_products
    K[m, :m] = K[:m, m] = K0
    K[m, m] = K00
    return VarianceInformation(
        covariance=info.covariance,
        first=np.concatenate([info.first, 0.5 * (first0 + first0.T)[None]]),
        second=second,
        traces=np.append(info.traces, prepared.products.n - phi @ info.traces),
        trace_products=K,
        forms=info.forms,
        squares=info.squares,
    )


def _inverse(information: Floats) -> Floats:
    """Generalized inverse, the parameters scaled to unit information first."""
    scale = 1.0 / np.sqrt(np.diag(information))
    values, vectors = np.linalg.eigh(scale[:, None] * information * scale)
    kept = values > _SINGULAR * values[-1]
    root = scale[:, None] * vectors[:, kept] / np.sqrt(values[kept])
    return np.asarray(root @ root.T)
