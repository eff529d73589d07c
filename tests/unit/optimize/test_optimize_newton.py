"""Newton, the fallback and the verdict on problems whose answer is known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from mixeff.control import Control
from mixeff.covariance import Partition
from mixeff.errors import ConvergenceError
from mixeff.optimize import solve
from mixeff.optimize.newton import newton
from mixeff.optimize.solve import Optimum

CONTROL = Control(threads=1)


@dataclass
class Valley:
    """d = sum_i a_i (Sigma_i - b_i)^2 / 2 for scalar Sigma_i = theta_i^2: minimum at max(b, 0).

    ``lie`` flips the sign of the gradient for that many evaluations: Newton's method is sent
    uphill, as by an error in a derivative; ``bias`` is added to it for good.
    ``grain`` rounds the value to its multiples.
    """

    a: np.ndarray
    b: np.ndarray
    lie: int = 0
    bias: float = 0.0
    wall: float = math.inf
    grain: float = 0.0

    def __post_init__(self) -> None:
        self.count = 0
        k = len(self.a)
        self.partition = Partition.of_groups([str(i) for i in range(k)], [1] * k)

    def evaluate(self, theta: np.ndarray) -> Point:
        if np.abs(theta).max() > self.wall:
            raise ConvergenceError("too far")
        self.count += 1
        return Point(self, np.array(theta), self.count <= self.lie)


class Point:
    def __init__(self, valley: Valley, theta: np.ndarray, lying: bool) -> None:
        self.valley, self.theta, self.sign = valley, theta, -1.0 if lying else 1.0
        self.excess = theta**2 - valley.b
        self.value = 100.0 + 0.5 * float(valley.a @ self.excess**2)
        self.noise = valley.grain
        if valley.grain:
            self.value = round(self.value / valley.grain) * valley.grain
        slope = valley.a * self.excess
        self.sigma_slopes = tuple(np.array([[s]]) for s in slope)
        self.gradient = self.sign * 2 * slope * theta + valley.bias
        self.hessian = np.diag(4 * valley.a * theta**2 + 2 * np.maximum(slope, 0))

    def curvature_along(self, term: int, direction: np.ndarray) -> float:
        return float(self.valley.a[term])


def run(valley: Valley, start: list[float], control: Control = CONTROL) -> Optimum:
    return solve(valley, np.array(start), control)


def test_interior_minimum() -> None:
    valley = Valley(np.array([3.0, 0.5]), np.array([4.0, 0.25]))
    optimum = run(valley, [1.0, 1.0])
    assert optimum.ok
    # theta = sqrt(b); the last steps leave about 1e-20 of predicted decrease.
    np.testing.assert_allclose(optimum.evaluation.theta, [2.0, 0.5], rtol=1e-9)
    assert optimum.nulls == ()
    assert optimum.optimizer == "newton"
    assert optimum.evaluations == valley.count
    assert optimum.curvature > 0.9
    assert optimum.local_values == (optimum.evaluation.value,)


def test_sign_is_made_canonical() -> None:
    optimum = run(Valley(np.ones(1), np.array([4.0])), [-1.0])
    assert optimum.evaluation.theta[0] == pytest.approx(2.0, rel=1e-9)


def test_boundary_minimum_is_exactly_zero() -> None:
    optimum = run(Valley(np.ones(2), np.array([-1.0, 2.0])), [1.0, 1.0])
    assert optimum.ok
    assert optimum.evaluation.theta[0] == 0.0
    assert [n.term for n in optimum.nulls] == [0]
    assert optimum.nulls[0].slope == pytest.approx(1.0)
    assert len(optimum.local_values) == 3  # two more starts were tried
    assert max(optimum.local_values) - min(optimum.local_values) < 1e-9


@pytest.mark.parametrize("start", [[0.0, 0.0], [0.0, 3.0], [1e-9, 0.0]])
def test_a_stationary_start_on_the_boundary_is_left(start: list[float]) -> None:
    optimum = run(Valley(np.array([2.0, 1.0]), np.array([4.0, 1.0])), start)
    assert optimum.ok
    np.testing.assert_allclose(optimum.evaluation.theta, [2.0, 1.0], rtol=1e-8)


def test_newton_alone_stays_on_the_boundary() -> None:
    # Why boundary.py exists: the gradient in theta is zero there whatever the criterion does.
    valley = Valley(np.ones(1), np.array([4.0]))
    result = newton(valley, valley.evaluate(np.zeros(1)), tolerance=1e-9, max_evaluations=50)
    assert result.converged
    assert result.evaluation.theta[0] == 0.0


def test_tiny_positive_variance_is_kept() -> None:
    optimum = run(Valley(np.array([1e4]), np.array([1e-6])), [1.0])
    assert optimum.evaluation.theta[0] == pytest.approx(1e-3, rel=1e-5)
    assert optimum.nulls == ()


def test_fallback_starts_by_itself_and_is_polished() -> None:
    # 25 lying evaluations end the first Newton run; COBYQA needs none of the derivatives.
    valley = Valley(np.array([1.0, 2.0]), np.array([1.0, 9.0]), lie=25)
    optimum = run(valley, [2.0, 2.0])
    assert optimum.ok
    assert optimum.optimizer == "cobyqa"
    np.testing.assert_allclose(optimum.evaluation.theta, [1.0, 3.0], rtol=1e-8)


def test_failure_is_told_not_hidden() -> None:
    # A gradient that is nowhere zero: both optimizers end, neither has an optimum to show.
    optimum = run(Valley(np.ones(1), np.array([9.0]), bias=1.0), [1.0])
    assert not optimum.ok
    assert optimum.predicted_decrease > 1e-3
    assert optimum.evaluation.value == pytest.approx(100.0, abs=1e-6)  # the best point all the same


def test_too_few_evaluations_are_a_failure() -> None:
    optimum = run(Valley(np.ones(1), np.array([9.0])), [1.0], Control(max_evaluations=1))
    assert not optimum.ok


def test_a_wall_is_walked_around() -> None:
    # Trial steps beyond the wall are refused by the problem; the optimum lies close to it.
    optimum = run(Valley(np.ones(1), np.array([9.0]), wall=3.1), [0.1])
    assert optimum.ok
    assert optimum.evaluation.theta[0] == pytest.approx(3.0, rel=1e-9)


def test_start_beyond_the_wall_is_an_error() -> None:
    with pytest.raises(ConvergenceError, match="starting values"):
        run(Valley(np.ones(1), np.array([9.0]), wall=3.1), [5.0])


def test_an_extra_start_beyond_the_wall_is_passed_over() -> None:
    # The second of them is three standard deviations.
    optimum = run(Valley(np.ones(1), np.array([-1.0]), wall=2.0), [1.0])
    assert optimum.ok
    assert optimum.evaluation.theta[0] == 0.0
    assert len(optimum.local_values) == 2


def test_extra_starts_can_be_switched_off() -> None:
    optimum = run(Valley(np.ones(1), np.array([-1.0])), [1.0], Control(extra_starts=0))
    assert len(optimum.local_values) == 1
    five = run(Valley(np.ones(1), np.array([-1.0])), [1.0], Control(extra_starts=5))
    assert len(five.local_values) == 6


def test_a_gain_that_drowns_in_rounding_is_no_failure() -> None:
    # The value is known to 1e-4 only, so Newton stops where no step seems to gain anything.
    optimum = run(Valley(np.array([3.0, 0.5]), np.array([4.0, 0.25]), grain=1e-4), [1.0, 1.0])
    assert optimum.ok
    assert 1e-9 < optimum.predicted_decrease <= 1e-4
    # d - d_min <= 1e-4 means |theta - 2| <= sqrt(2e-4 / 48) and |theta - 0.5| <= sqrt(2e-4 / 0.5).
    np.testing.assert_allclose(optimum.evaluation.theta, [2.0, 0.5], atol=0.02)


def test_a_gain_above_rounding_that_no_step_makes_is_a_failure() -> None:
    # The biased gradient promises what the function does not keep.
    optimum = run(Valley(np.ones(1), np.array([4.0]), bias=1.0, grain=1e-8), [1.0])
    assert not optimum.ok
