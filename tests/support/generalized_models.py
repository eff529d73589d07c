"""Random generalized models of every family and link, and the criterion by dense algebra."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mixeff.generalized.families.lookup import family_of
from mixeff.generalized.laplace import LaplaceProblem
from mixeff.generalized.parameters import JointPartition
from mixeff.generalized.pirls import Pirls
from mixeff.generalized.working import GeneralizedModel, working_generalized
from support.handmade import make_design

# Family, link, and the linear predictor's range in which all means are allowed.
KINDS = {
    "bernoulli logit": ("binomial", "logit", 0.0, 0.7),
    "binomial probit": ("binomial", "probit", 0.0, 0.5),
    "binomial cloglog": ("binomial", "cloglog", -0.5, 0.4),
    "binomial cauchit": ("binomial", "cauchit", 0.0, 0.3),
    "poisson log": ("poisson", "log", 0.5, 0.5),
    "poisson sqrt": ("poisson", "sqrt", 3.0, 0.3),
    "poisson identity": ("poisson", "identity", 9.0, 0.6),
    "gamma log": ("Gamma", "log", 0.3, 0.4),
    "gamma inverse": ("Gamma", "inverse", 3.0, 0.2),
    "gamma identity": ("Gamma", "identity", 5.0, 0.3),
    "inverse gaussian log": ("inverse.gaussian", "log", 0.2, 0.3),
    "inverse gaussian 1/mu^2": ("inverse.gaussian", "1/mu^2", 3.0, 0.2),
    "gaussian log": ("gaussian", "log", 1.0, 0.2),
    "gaussian identity": ("gaussian", "identity", 0.0, 1.0),
    "gaussian inverse": ("gaussian", "inverse", 2.0, 0.1),
    "nb2 log": ("negative_binomial", "log", 1.0, 0.4),
    "nb1 log": ("nbinom1", "log", 1.0, 0.4),
}
SHAPES: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "one": (("g", ("(Intercept)",)),),
    "slope": (("g", ("(Intercept)", "x")),),
    "crossed": (("g", ("(Intercept)", "x")), ("h", ("(Intercept)",))),
    "nested": (("s", ("(Intercept)",)), ("g", ("(Intercept)",))),
    "three": (("g", ("(Intercept)",)), ("h", ("(Intercept)",)), ("k", ("(Intercept)", "x"))),
    "split": (("g", ("(Intercept)",)), ("g", ("x",))),
}


def random_model(kind: str, shape: str, seed: int, expected: bool) -> GeneralizedModel:
    family_name, link, middle, spread = KINDS[kind]
    rng = np.random.default_rng(seed)
    n = 48
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "g": rng.integers(0, 8, n),
            "h": rng.integers(0, 5, n),
            "k": rng.integers(0, 3, n),
        }
    )
    frame["s"] = frame["g"] // 3
    family = family_of(family_name, link)
    eta = middle + spread * 0.5 * (frame["x"].to_numpy() + rng.normal(size=8)[frame["g"]])
    if family_name == "binomial" and link != "logit":
        weights = rng.integers(1, 6, n).astype(float)
    else:
        weights = None if rng.random() < 0.5 else np.ones(n)
        if family_name in ("Gamma", "gaussian", "inverse.gaussian"):
            weights = rng.uniform(0.5, 2.0, n)
    mu = family.link.mu(np.maximum(eta, 0.2 * middle) if middle > 1 else eta)
    frame["y"] = family.simulate(rng, mu, weights, 0.2)
    frame["y"] = np.maximum(frame["y"], 1e-3) if "a" in family_name[:2] else frame["y"]
    if family_name in ("Gamma", "inverse.gaussian"):
        frame["y"] = np.maximum(frame["y"], 1e-3)
    design = make_design(
        frame, "y", ("(Intercept)", "x"), SHAPES[shape], weights=weights,
        offset=0.1 * rng.normal(size=n) if middle < 1.5 else None,
    )  # fmt: skip
    return working_generalized(design, family, expected=expected, threads=1)


def problem_and_point(
    model: GeneralizedModel, seed: int, joint: bool
) -> tuple[LaplaceProblem, np.ndarray]:
    rng = np.random.default_rng(seed)
    free = (0 if joint else model.p) + model.family.has_dispersion
    partition = JointPartition(model.partition, free)
    theta = rng.normal(size=model.partition.n_theta) * 0.3
    theta[model.partition.is_diagonal] = rng.uniform(0.1, 0.6, model.partition.is_diagonal.sum())
    behind = [] if joint else [model.first.beta + 0.05 * rng.normal(size=model.p)]
    if model.family.has_dispersion:
        behind.append(np.array([np.log(model.first.dispersion) + 0.1]))
    start = Pirls(model, joint=joint).at(
        model.partition.block_factors(theta), model.zero_effects(), model.first.beta, 1.0
    )
    problem = LaplaceProblem(model, partition, joint=joint, start=start)
    return problem, np.concatenate([theta, *behind])


def differences(value: Any, at: np.ndarray, h: float = 0.008) -> np.ndarray:
    """Central differences, extrapolated as the step is halved (Ridders 1982).

    Three steps leave an error of order h^6, enough unless the criterion bends sharply (a mean near
    the edge of its range): then they are halved on, and the entry of the table whose neighbours
    agree best is taken.
    """
    found = np.zeros_like(at)
    for j in range(at.size):
        step = np.zeros_like(at)
        rows: list[list[float]] = []
        best, error = np.nan, np.inf
        for level in range(9):
            step[j] = h / 2**level
            row = [(value(at + step) - value(at - step)) / (2 * step[j])]
            for k, before in enumerate(rows[-1] if rows else []):
                row.append(row[-1] + (row[-1] - before) / (4.0 ** (k + 1) - 1.0))
                apart = max(abs(row[-1] - row[-2]), abs(row[-1] - before))
                if apart < error:
                    best, error = row[-1], apart
            rows.append(row)
            if level >= 2 and error < 1e-8 * (1.0 + abs(best)):
                break
        found[j] = best
    return found


def dense_value(problem: LaplaceProblem, point: np.ndarray) -> float:
    """The criterion by Newton's method on dense matrices, from its definition."""
    model = problem.model
    beta, dispersion = problem.parts(point)
    n = model.y.size
    blocks = []
    for g, L in zip(model.rows.groups, problem.partition.block_factors(point), strict=True):
        Z = np.zeros((n, g.n_levels, g.Z.shape[1]))
        Z[np.arange(n), g.codes] = g.Z @ L
        blocks.append(Z.reshape(n, -1))
    ZL = np.hstack(blocks)
    u = np.zeros(ZL.shape[1])
    for _ in range(200):
        terms = model.terms(model.offset + model.rows.X @ beta + ZL @ u, dispersion)
        M = ZL.T @ (terms.weight[:, None] * ZL) + np.eye(u.size)
        step = np.linalg.solve(M, ZL.T @ terms.score - u)
        u = u + step * min(1.0, 1.0 / (1e-300 + np.abs(step).max()))
        if np.abs(step).max() < 1e-13:
            break
    terms = model.terms(model.offset + model.rows.X @ beta + ZL @ u, dispersion)
    weight = terms.weight
    if model.expected:
        eta = model.offset + model.rows.X @ beta + ZL @ u
        weight = model.terms(eta, dispersion, expected=True).weight
    M = ZL.T @ (weight[:, None] * ZL) + np.eye(u.size)
    return float(-2.0 * terms.loglik.sum() + u @ u + np.linalg.slogdet(M)[1])
