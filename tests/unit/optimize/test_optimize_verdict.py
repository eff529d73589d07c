"""Verdicts on real data: calm sentences, the right names, no false alarms."""

from __future__ import annotations

import numpy as np
import pytest

from mixeff.control import Control
from mixeff.design.design import Design
from mixeff.linear import LinearEstimate, fit_linear
from mixeff.optimize.verdict import Verdict
from support.dense_system import simple_design
from support.reference import load_case, load_frame


def fit(design: Design, control: Control | None = None) -> LinearEstimate:
    return fit_linear(design, reml=True, control=control or Control(threads=1))


def from_frame(data: str, response: str, fixed: list, terms: list) -> Design:
    """Terms are (group, [(name, values), ...]); the group is a factor column."""
    frame = load_frame(data)
    codes = {g: frame[g].cat.codes.to_numpy(dtype=np.int32) for g, _ in terms}
    return simple_design(
        frame[response],
        np.column_stack(fixed),
        [(g, codes[g], np.column_stack([v for _, v in columns])) for g, columns in terms],
        columns=[[name for name, _ in columns] for _, columns in terms],
    )


def test_interior_fit_is_one_calm_sentence() -> None:
    days = load_frame("sleepstudy")["Days"].to_numpy(float)
    one = np.ones(len(days))
    columns = [("(Intercept)", one), ("Days", days)]
    estimate = fit(from_frame("sleepstudy", "Reaction", [one, days], [("Subject", columns)]))
    verdict = estimate.convergence
    assert verdict.ok
    assert str(verdict).startswith("Converged: the gradient is zero and the curvature positive (")
    assert f"{verdict.evaluations} evaluations" in verdict.sentence
    assert str(verdict).count(".") <= 2
    assert verdict.optimizer == "newton"
    assert verdict.evaluations <= 8  # 6 in ENGINE section 5; room for the digits of theta
    assert np.max(np.abs(verdict.gradient)) < 1e-7
    assert verdict.curvature > 0.1
    assert verdict.seconds > 0


def test_dyestuff2_is_zero_and_the_optimum() -> None:
    one = np.ones(len(load_frame("Dyestuff2")))
    design = from_frame("Dyestuff2", "Yield", [one], [("Batch", [("(Intercept)", one)])])
    estimate = fit(design)
    case = load_case("dyestuff2_singular")
    assert estimate.theta[0] == 0.0
    assert estimate.criterion == pytest.approx(case["fit"]["REMLcrit"], abs=1e-9)
    assert estimate.convergence.ok
    assert str(estimate.convergence) == (
        "The fit is singular: the variance of (Intercept) in (1 | Batch) is zero, and moving away "
        "from it would raise the deviance; this is the optimum."
    )
    direction = estimate.convergence.singular[0]
    np.testing.assert_array_equal(direction.direction, [1.0])
    assert (direction.term, direction.group) == (0, "Batch")
    # d changes by leaving * tau^2 / sigma^2 near zero: a forward difference in theta^2.
    from mixeff.linear import evaluate_at

    up = evaluate_at(design, [1e-3], reml=True, threads=1).criterion
    assert (up - estimate.criterion) / 1e-6 == pytest.approx(direction.leaving, rel=1e-3)


def early() -> Design:
    frame = load_frame(load_case("early_p")["data"])
    age = frame["age"].to_numpy(float) - 1
    trt = (
        frame["trt"].cat.codes.to_numpy(float)
        if hasattr(frame["trt"], "cat")
        else frame["trt"].to_numpy(float)
    )
    one = np.ones(len(age))
    columns = [("(Intercept)", one), ("I(age - 1)", age)]
    data = load_case("early_p")["data"]
    return from_frame(data, "cog", [one, age, trt, age * trt], [("id", columns)])


def test_perfect_correlation_is_named() -> None:
    estimate = fit(early())
    case = load_case("early_p")
    assert str(estimate.convergence).startswith(
        "The fit is singular: the correlation of I(age - 1) with (Intercept) by id is -1, and"
    )
    assert estimate.theta[2] == 0.0
    np.testing.assert_allclose(estimate.theta, list(case["theta"].values()), atol=1e-6)
    direction = estimate.convergence.singular[0].direction
    Sigma = estimate.Lambda[0] @ estimate.Lambda[0].T
    np.testing.assert_allclose(Sigma @ direction, 0.0, atol=1e-12)
    assert np.linalg.norm(direction) == pytest.approx(1.0)


def schools(terms: list) -> Verdict:
    frame = load_frame("nlschools")
    one, iq, ses = np.ones(len(frame)), frame["IQ"].to_numpy(float), frame["SES"].to_numpy(float)
    values = {"(Intercept)": one, "IQ": iq, "SES": ses}
    chosen = [("class", [(name, values[name]) for name in names]) for names in terms]
    return fit(from_frame("nlschools", "lang", [one, iq, ses], chosen)).convergence


def test_zero_slope_variance_is_named_with_its_term() -> None:
    verdict = schools([["(Intercept)"], ["SES"]])
    assert verdict.ok
    assert "the variance of SES in (SES | class) is zero" in str(verdict)
    assert [s.term for s in verdict.singular] == [1]


def test_combination_without_variance_is_spelled_out() -> None:
    # nlschools_GS_slope_p in the reference (same random effects): rank 2 of 3.
    verdict = schools([["(Intercept)", "SES", "IQ"]])
    assert verdict.ok
    assert len(verdict.singular) == 1
    assert "the combination 0.0107 (Intercept) + 0.981 SES + 0.196 IQ" in str(verdict)


def test_unidentified_model_says_so() -> None:
    # The same intercept twice: only the sum of the two variances is determined.
    one = np.ones(len(load_frame("sleepstudy")))
    days = load_frame("sleepstudy")["Days"].to_numpy(float)
    twice = [("Subject", [("(Intercept)", one)])] * 2
    verdict = fit(from_frame("sleepstudy", "Reaction", [one, days], twice)).convergence
    assert verdict.ok
    assert "flat in some direction" in str(verdict)


def test_failure_says_what_to_do() -> None:
    days = load_frame("sleepstudy")["Days"].to_numpy(float)
    one = np.ones(len(days))
    columns = [("(Intercept)", one), ("Days", days)]
    design = from_frame("sleepstudy", "Reaction", [one, days], [("Subject", columns)])
    verdict = fit(design, Control(max_evaluations=1, threads=1)).convergence
    assert not verdict.ok
    assert str(verdict).startswith("Not converged")
    assert "max_evaluations" in str(verdict)


def test_many_directions_without_variance_are_summarized() -> None:
    generator = np.random.default_rng(2)
    s = np.repeat(np.arange(30), 16).astype(np.int32)
    X = np.column_stack([np.ones(s.size), generator.choice([-1.0, 1.0], size=(s.size, 4))])
    effects = generator.normal(size=(30, 1)) @ generator.normal(size=(1, 5))  # rank 1 of 5
    y = np.sum(X * effects[s], axis=1) + generator.normal(size=s.size)
    estimate = fit(simple_design(y, X, [("s", s, X)]))
    singular = estimate.convergence.singular
    rank = int(np.linalg.matrix_rank(estimate.Lambda[0], tol=1e-9))
    assert 1 <= rank <= 3
    assert len(singular) == 5 - rank
    plural = f"the 5 random effects by s vary in only {rank} directions"
    assert plural in str(estimate.convergence)
    directions = np.array([d.direction for d in singular])
    np.testing.assert_allclose(directions @ directions.T, np.eye(5 - rank), atol=1e-10)
