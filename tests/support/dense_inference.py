"""Dense matrices of a linear mixed model in the caller's units: oracles for its inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Floats = np.ndarray


@dataclass(frozen=True)
class Dense:
    """y ~ N(X beta, V), V = sum_j phi_j V_j, phi the entries of the covariances and sigma^2."""

    X: Floats
    y: Floats
    derivatives: list[Floats]
    phi: Floats

    @property
    def V(self) -> Floats:
        return np.tensordot(self.phi, np.array(self.derivatives), axes=1)


def dense_model(fit: Any) -> Dense:
    """From the design and the estimates alone; the last parameter is sigma^2."""
    design, sigma2 = fit.design, fit.sigma**2
    n = design.n
    derivatives, phi = [], []
    for term, Lambda in zip(design.random, fit.estimate.Lambda, strict=True):
        q = term.n_columns
        Z = np.zeros((n, term.n_levels * q))
        for column in range(q):
            Z[np.arange(n), term.codes * q + column] = term.values[:, column]
        Sigma = sigma2 * Lambda @ Lambda.T
        for a in range(q):
            for b in range(a + 1):
                E = np.zeros((q, q))
                E[a, b] = E[b, a] = 1.0
                derivatives.append(Z @ np.kron(np.eye(term.n_levels), E) @ Z.T)
                phi.append(Sigma[a, b])
    weights = np.ones(n) if design.weights is None else design.weights
    derivatives.append(np.diag(1.0 / weights))
    y = design.response - (0.0 if design.offset is None else design.offset)
    return Dense(design.X, y, derivatives, np.array([*phi, sigma2]))
