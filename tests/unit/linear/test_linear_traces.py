"""Traces continued from exact ones: closed forms, dense algebra, and the fits they save work in."""

from __future__ import annotations

import numpy as np
import pytest

import mixeff as mx
from mixeff.covariance import Partition
from mixeff.crossproducts.blocks import GroupBlock
from mixeff.crossproducts.in_memory import build_system
from mixeff.factor import selected_inverse
from mixeff.factor.cholesky import BlockedFactor
from mixeff.linear import sigma_coordinates as coordinates
from mixeff.linear.criterion import LinearCriterion, LinearEvaluation
from mixeff.linear.traces import ExactTraces, TraceMemory
from mixeff.linear.working import working_model
from support.brute_system import Brute, designs


def test_coordinates_of_sigma() -> None:
    partition = Partition.of_groups(["a", "b"], [2, 1])
    theta = np.array([1.1, 0.3, 0.7, 0.4])
    change = np.array([0.2, -0.1, 0.05, 0.3])
    # Sigma is quadratic in theta: the central difference is its derivative exactly.
    ahead, back = (
        coordinates.pack([L @ L.T for L in partition.term_factors(theta + s * change)])
        for s in (1, -1)
    )
    np.testing.assert_allclose(
        coordinates.derivative(partition, partition.term_factors(theta)) @ change,
        (ahead - back) / 2,
        atol=1e-14,
    )
    slopes = np.array([1.0, 2.0, 3.0, 4.0])
    D = coordinates.slopes_to_matrices(slopes, [2, 1])
    U = np.array([[0.1, 0.2], [0.2, 0.5]])
    assert np.sum(D[0] * U) == pytest.approx(slopes[:3] @ [0.1, 0.2, 0.5])
    back = [coordinates.matrix_to_slopes(M) for M in D]
    np.testing.assert_array_equal(np.concatenate(back), slopes)


def dense_squares(brute: Brute, Lambda: list[np.ndarray], reml: bool) -> dict:
    """Sums over level pairs of products of entries of Z_i'PZ_k, by brute force."""
    y, X, Zs = brute.working()
    V = np.eye(y.size)
    for b, L, Z in zip(brute.blocks, Lambda, Zs, strict=True):
        V += Z @ np.kron(np.eye(b.n_levels), L @ L.T) @ Z.T
    P = np.linalg.inv(V)
    if reml:
        P = P - P @ X @ np.linalg.solve(X.T @ P @ X, X.T @ P)
    found = {}
    for i, left in enumerate(Zs):
        for k, right in enumerate(Zs):
            q, r = Lambda[i].shape[0], Lambda[k].shape[0]
            N = (left.T @ P @ right).reshape(-1, q, right.shape[1] // r, r)
            found[i, k] = np.einsum("lamc,lbmd->abcd", N, N)
    return found


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("design", ["three crossed", "crossed vectors", "chain and crossed"])
def test_squares_over_the_tail(design: str, reml: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selected_inverse, "SQUARED", 0)
    brute = designs()[design]
    rng = np.random.default_rng(4)
    Lambda = [
        np.tril(rng.normal(size=(b.values.shape[1],) * 2) * 0.3) + 0.8 * np.eye(b.values.shape[1])
        for b in brute.blocks
    ]
    factor = brute.build().factorize(Lambda)
    factor.trace_blocks(reml, squares=True)
    expected = dense_squares(brute, Lambda, reml)
    assert factor.tail_squares is not None
    tail = factor.layout.tail_groups
    assert set(factor.tail_squares) == {(i, k) for i in tail for k in tail}
    for pair, found in factor.tail_squares.items():
        # Both ways lose digits to the condition of M, at most a few hundred here.
        np.testing.assert_allclose(found, expected[pair], rtol=0, atol=1e-9)


def test_one_balanced_factor_is_continued_exactly() -> None:
    # J levels of m rows each: log|V| = J log(1 + m s), H = J m / (1 + m s), K = H^2 / J.
    J, m = 40, 6

    def trace(s: float) -> float:
        return J * m / (1 + m * s)

    here, there = 0.3, 0.45
    record = ExactTraces(
        False,
        (np.array([[here]]),),
        (np.array([[trace(here)]]),),
        J * np.log1p(m * here),
        np.array([[trace(here) ** 2 / J]]),
    )
    information = np.array([[trace(there) ** 2 / J]])
    found = record.continued([np.array([[there]])], J * np.log1p(m * there), information)
    assert found is not None
    assert found.traces[0][0, 0] == pytest.approx(trace(there), rel=1e-12)
    assert found.curvature[0, 0] == pytest.approx(trace(there) ** 2 / J, rel=1e-12)
    assert found.error < 1e-16  # the quadrature's and rounding's
    # A wrong change of log|V| is taken for an error of the traces.
    wrong = record.continued([np.array([[there]])], J * np.log1p(m * there) + 1e-4, information)
    assert wrong is not None
    assert wrong.error > 1e-8
    assert record.continued([np.array([[1e-5]])], 0.0, information) is None  # near the boundary
    assert record.continued([np.array([[3.0]])], 0.0, information) is None  # far away


@pytest.fixture(scope="module")
def crossed() -> dict[str, np.ndarray]:
    """Unbalanced ratings: 300 users with correlated slopes, 220 items."""
    rng = np.random.default_rng(8)
    n = 6000
    user = np.minimum(rng.exponential(60.0, n).astype(int), 299)
    item = rng.integers(0, 220, n)
    x = rng.normal(size=n)
    effect = rng.multivariate_normal([0, 0], [[0.5, 0.1], [0.1, 0.2]], 300)
    y = effect[user, 0] + effect[user, 1] * x + rng.normal(0, 0.6, 220)[item] + rng.normal(size=n)
    return {"y": y, "x": x, "user": user.astype(str), "item": item.astype(str)}


FORMULA = "y ~ x + (x | user) + (1 | item)"


def evaluations(data: dict[str, np.ndarray], reml: bool) -> tuple[LinearCriterion, np.ndarray]:
    fit = mx.lmer(FORMULA, data, reml=reml)
    model = working_model(fit.design, 1)
    theta = model.coordinates.working_theta(model.partition, fit.theta)
    return LinearCriterion(model.system, model.partition, reml, TraceMemory()), theta


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("size", [0.1, 0.01, 0.001])
def test_the_error_is_known(crossed: dict[str, np.ndarray], reml: bool, size: float) -> None:
    criterion, theta = evaluations(crossed, reml)
    rng = np.random.default_rng(1)
    for _ in range(5):
        criterion.evaluate(theta * (1 + size * rng.normal(size=theta.size))).gradient  # noqa: B018
        exact = criterion.evaluate(theta)
        guess = exact.guess()
        assert guess is not None
        assert guess.value == exact.value
        e = guess.gradient - exact.gradient
        cost = 0.5 * float(e @ np.linalg.solve(exact.average_information, e))
        # An estimate from one number, the miss along the step, so not a bound for each case; what
        # is claimed of it, within a factor of ten, keeps errors below a tenth of the tolerance.
        assert cost < 10 * guess.error + 1e-18
        # First-order: the traces would be wrong by size^2 * sqrt(levels) / 2 at the least if
        # they were continued as straight lines, and by size * sqrt(levels) if not at all.
        assert cost < (size**2 + 0.05 * size) ** 2 * 300


def count_traces(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    count = [0]
    original = BlockedFactor.trace_blocks

    def counted(self: BlockedFactor, reml: bool, squares: bool = False) -> tuple[np.ndarray, ...]:
        count[0] += 1
        return original(self, reml, squares)

    monkeypatch.setattr(BlockedFactor, "trace_blocks", counted)
    return count


@pytest.mark.parametrize("reml", [True, False])
def test_the_fit_is_that_of_exact_gradients(
    crossed: dict[str, np.ndarray], reml: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = count_traces(monkeypatch)
    fit = mx.lmer(FORMULA, crossed, reml=reml)
    some = count[0]
    assert some < fit.convergence.evaluations
    monkeypatch.setattr(LinearEvaluation, "guess", lambda self: None)
    exact = mx.lmer(FORMULA, crossed, reml=reml)
    assert count[0] - some == exact.convergence.evaluations
    # Rounding of the criterion near 2e4; theta as near as a deviance right to 1e-11 makes it.
    assert fit.loglik == pytest.approx(exact.loglik, abs=1e-9)
    np.testing.assert_allclose(fit.theta, exact.theta, rtol=0, atol=1e-6)
    # The gradient at the end is small by exact traces too.
    assert fit.convergence.predicted_decrease < 1e-9


def test_refits_need_few_exact_traces(
    crossed: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = mx.lmer(FORMULA, crossed)
    rng = np.random.default_rng(2)
    user, item = crossed["user"].astype(int), crossed["item"].astype(int)
    effect = rng.multivariate_normal([0, 0], [[0.5, 0.1], [0.1, 0.2]], 300)
    similar = effect[user, 0] + effect[user, 1] * crossed["x"] + rng.normal(size=user.size)
    similar += rng.normal(0, 0.6, 220)[item]
    other = rng.normal(size=user.size)  # nothing in common with the first response
    other += 5 * rng.normal(size=220)[item]
    for response, most in ((similar, 4), (other, 99)):
        count = count_traces(monkeypatch)
        again = fit.refit(response)
        assert count[0] <= most
        fresh = mx.lmer(FORMULA, {**crossed, "y": response})
        assert again.loglik >= fresh.loglik - 1e-8
        np.testing.assert_allclose(again.theta, fresh.theta, rtol=0, atol=2e-6)


def test_the_other_criterion_has_other_traces(crossed: dict[str, np.ndarray]) -> None:
    fit = mx.lmer(FORMULA, crossed)
    ml = fit.refit_ml()
    assert ml.loglik == pytest.approx(mx.lmer(FORMULA, crossed, reml=False).loglik, abs=1e-8)


@pytest.mark.parametrize("start", [0.6, 1.0, 2.0])
def test_scoring_in_sigma_ends_a_balanced_search(start: float) -> None:
    rng = np.random.default_rng(6)
    J, m = 15, 4
    codes = np.repeat(np.arange(J, dtype=np.int32), m)
    y = rng.normal(size=J)[codes] + rng.normal(size=J * m)
    system = build_system(y, np.ones((J * m, 1)), [GroupBlock(codes, J, np.ones((J * m, 1)))])
    partition = Partition.of_groups(["g"], [1])
    criterion = LinearCriterion(system, partition, True, TraceMemory())
    evaluation = criterion.evaluate(np.array([start]))
    assert abs(evaluation.gradient[0]) > 0.1  # asks for the traces
    table = y.reshape(J, m)
    between = m * np.sum((table.mean(axis=1) - y.mean()) ** 2) / (J - 1)
    within = np.sum((table - table.mean(axis=1)[:, None]) ** 2) / (J * (m - 1))
    # Restricted likelihood is the analysis of variance here: theta^2 = (F - 1) / m.
    found = evaluation.scored()
    assert found is not None
    assert found[0] == pytest.approx(np.sqrt((between / within - 1) / m), rel=1e-9)
