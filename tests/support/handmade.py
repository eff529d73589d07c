"""Designs written out by hand and estimates by dense algebra: no room of mixeff computes here."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from mixeff.control import Control
from mixeff.design.design import Design, RandomTerm
from mixeff.formula.tree import LinearPart, ModelFormula, RandomPart
from mixeff.linear.estimate import LinearEstimate, Outcome
from mixeff.model.fit import LinearMixedModel
from mixeff.model.request import Request
from mixeff.optimize.verdict import Verdict


def matrix(frame: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Model columns by name, ``(Intercept)`` being the constant 1."""
    columns = [np.ones(len(frame)) if c == "(Intercept)" else frame[c] for c in names]
    return np.ascontiguousarray(np.column_stack(columns), dtype=float)


def random_term(frame: pd.DataFrame, group: str, names: Sequence[str]) -> RandomTerm:
    codes, levels = pd.factorize(frame[group].astype(str), sort=True)
    inside = " + ".join("1" if c == "(Intercept)" else c for c in names)
    return RandomTerm(
        group=group,
        levels=tuple(levels),
        codes=codes.astype(np.int32),
        columns=tuple(names),
        values=matrix(frame, names),
        label=f"({inside} | {group})",
        has_intercept=names[0] == "(Intercept)",
    )


def make_design(
    frame: pd.DataFrame,
    response: str,
    fixed: Sequence[str],
    random: Sequence[tuple[str, Sequence[str]]],
    **fields: Any,
) -> Design:
    settings: dict[str, Any] = {
        "response": frame[response].to_numpy(dtype=float),
        "response_name": response,
        "X": matrix(frame, fixed),
        "names": tuple(fixed),
        "dropped": (),
        "random": tuple(random_term(frame, g, c) for g, c in random),
        "weights": None,
        "offset": None,
        "rows": np.arange(len(frame), dtype=np.int64),
        "n_omitted": 0,
        # Of the state only this is ever asked here: every column is a term of its own.
        "state": SimpleNamespace(
            n_rows=len(frame) + fields.get("n_omitted", 0),
            assign=tuple(range(1, len(fixed) + 1)),
            fixed=SimpleNamespace(terms=tuple(SimpleNamespace(label=name) for name in fixed)),
        ),
    }
    return Design(**{**settings, **fields})


def dense_z(term: RandomTerm) -> np.ndarray:
    """(n, J q), level by level."""
    n, q = term.values.shape
    z = np.zeros((n, term.n_levels, q))
    z[np.arange(n), term.codes] = term.values
    return z.reshape(n, -1)


def factors(design: Design, theta: Sequence[float]) -> tuple[np.ndarray, ...]:
    """Lower triangles filled by columns."""
    out, start = [], 0
    for term in design.random:
        q = term.n_columns
        factor = np.zeros((q, q))
        for j in range(q):
            for i in range(j, q):
                factor[i, j] = theta[start]
                start += 1
        out.append(factor)
    return tuple(out)


def dense_estimate(design: Design, theta: Sequence[float], reml: bool = True) -> LinearEstimate:
    """Everything at a given theta from V = W^-1 + Z Lambda Lambda' Z' itself (no Cholesky of M)."""
    n, p = design.X.shape
    Lambda = factors(design, theta)
    zl = [
        dense_z(t) @ np.kron(np.eye(t.n_levels), f)
        for t, f in zip(design.random, Lambda, strict=True)
    ]
    weights = np.ones(n) if design.weights is None else design.weights
    V = np.diag(1 / weights) + sum(z @ z.T for z in zl)
    y = design.response - (0.0 if design.offset is None else design.offset)
    Vi = np.linalg.inv(V)
    U = np.linalg.inv(design.X.T @ Vi @ design.X)
    beta = U @ design.X.T @ Vi @ y
    rest = Vi @ (y - design.X @ beta)
    r2 = float((y - design.X @ beta) @ rest)
    nu = n - p if reml else n
    criterion = np.linalg.slogdet(V)[1] + nu * (1 + np.log(2 * np.pi * r2 / nu))
    if reml:
        criterion -= np.linalg.slogdet(U)[1]
    modes = tuple(
        (z.T @ rest).reshape(t.n_levels, t.n_columns) @ f.T
        for z, t, f in zip(zl, design.random, Lambda, strict=True)
    )
    return LinearEstimate(
        reml=reml,
        theta=np.array(theta, float),
        Lambda=Lambda,
        beta=beta,
        unscaled_covariance=U,
        sigma=float(np.sqrt(r2 / nu)),
        criterion=float(criterion),
        pwrss=r2,
        modes=modes,
        outcome=Outcome.known(
            Verdict(True, "Converged.", np.zeros(len(theta)), 1.0, 0.0, 1, 0.0, "by hand")
        ),
    )


def handmade_fit(
    design: Design, theta: Sequence[float], reml: bool = True, formula: str = "y ~ x", **asked: Any
) -> LinearMixedModel:
    """A fitted model around a handmade design, at a given theta."""
    nothing = LinearPart(True, ())
    bars = tuple(RandomPart(nothing, (), t.group, False, t.label) for t in design.random)
    parsed = ModelFormula(formula, formula, None, nothing, bars, (), ())
    request = Request(formula, parsed, None, "data", reml, control=Control(), **asked)
    return LinearMixedModel(request, design, dense_estimate(design, theta, reml))
