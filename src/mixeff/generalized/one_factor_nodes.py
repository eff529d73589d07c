"""Adaptive Gauss-Hermite quadrature by the compiled criterion of one grouping factor."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mixeff.generalized.laplace import LaplaceEvaluation
from mixeff.generalized.one_factor import OneFactorEvaluation, OneFactorProblem
from mixeff.generalized.quadrature import grid, turned_gradient
from mixeff.linear.coordinates import Coordinates

Floats = NDArray[np.float64]


class OneFactorQuadrature(OneFactorProblem):
    """``QuadratureProblem`` compiled; the same criterion and gradient.

    Boundary conditions and the model of the Hessian are those of the Laplace approximation.
    """

    n_nodes: int = 1

    @classmethod
    def like(cls, problem: OneFactorProblem, n_nodes: int) -> OneFactorQuadrature:
        """On the rows of a Laplace problem, from its modes on, observed information throughout."""
        rows = replace(problem.rows, expected=False)
        out = cls(problem.model, problem.partition, rows, problem.u)
        out.n_nodes = n_nodes
        return out

    def reordered(self, partition: object) -> OneFactorQuadrature:
        """Columns of Lambda in another order would turn the grid: the same problem stays."""
        return self

    def evaluate(self, theta: Floats) -> OneFactorIntegral:
        """Find the modes and sum over the nodes."""
        Lambda = self.joined(self.partition.term_factors(theta))
        nodes = grid(self.n_nodes, Lambda.shape[0])
        found = self.run(theta, Lambda, self.u, self.entries, nodes=nodes)
        self.u = found.u
        evaluation = OneFactorIntegral(self, theta, Lambda, found)
        object.__setattr__(evaluation, "value", found.integral)
        return evaluation


class OneFactorIntegral(OneFactorEvaluation):
    """The criterion by quadrature at one point; all but value and gradient are Laplace's."""

    memory: ClassVar[tuple[int, float]] = LaplaceEvaluation.memory

    @property
    def gradient(self) -> Floats:
        """Df in theta, beta and log dispersion."""
        slope = np.array(self.found.integral_gradient)
        # The grid is symmetric in a direction without variance.
        still = ~np.any(self.Lambda[0] != 0.0, axis=0)[self.problem.entries.columns]
        slope[: still.size][still] = 0.0
        return slope

    def callers_gradient(self, coordinates: Coordinates, theta: Floats) -> Floats:
        """By the chain rule: the grid turns when Lambda is made triangular again."""
        return turned_gradient(self, coordinates, theta)
