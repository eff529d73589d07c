"""Fits made of a reference case's own numbers, to print without fitting."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from mixeff.formula import parse_formula
from mixeff.model.varcorr import VarCorr, VarianceComponent
from mixeff.optimize.verdict import SingularDirection, Verdict
from support.reference import load_frame

DIRECTION = "the covariance of this term has no variance in one direction."


@dataclass
class lmerMod:  # noqa: N801 - the class name is printed in the title
    """What `summarize` and `format_fit` read of a fit."""

    formula: str
    request: Any
    design: Any
    estimate: Any
    data_name: str
    is_reml: bool
    reml_criterion: float | None
    loglik: float
    aic: float
    bic: float
    df: int
    df_residual: int
    nobs: int
    ngroups: dict[str, int]
    varcorr: VarCorr
    convergence: Verdict
    scaled: np.ndarray
    dropped: tuple[str, ...] = field(default=())

    def residuals(self, kind: str) -> np.ndarray:
        assert kind == "scaled"
        return self.scaled


def numbers(mapping: dict[str, float]) -> np.ndarray:
    return np.array(list(mapping.values()), dtype=float)


def printed_fit(case: dict[str, Any]) -> lmerMod:
    """The fit of a case, as far as printing needs it."""
    stats = case["fit"]
    parsed = parse_formula(case["formula"], double_bar="lme4")
    sigma = stats["sigma"]
    names = tuple(case["beta"])
    estimate = SimpleNamespace(
        beta=numbers(case["beta"]),
        sigma=sigma,
        # coefficient_table multiplies by sigma^2 and takes the root: exact to one rounding
        unscaled_covariance=np.array(case["vcov"]["values"], float) / sigma**2,
    )
    return lmerMod(
        formula=case["formula"],
        request=SimpleNamespace(parsed=parsed, weights=case.get("weights"), offset=None),
        design=SimpleNamespace(names=names, X=model_columns(case)),
        estimate=estimate,
        data_name=case["data"],
        is_reml=case["REML"],
        reml_criterion=stats["REMLcrit"],
        loglik=stats["logLik"],
        aic=stats["AIC"],
        bic=stats["BIC"],
        df=stats["df"],
        df_residual=stats["df_residual"],
        nobs=case["nobs"],
        ngroups=case["ngroups"],
        varcorr=components(case),
        convergence=verdict(stats["isSingular"]),
        # the quantiles of five numbers are the five numbers
        scaled=numbers(case["scaled_residual_quantiles"]),
        dropped=tuple(case["dropped_columns"]),
    )


def model_columns(case: dict[str, Any]) -> np.ndarray:
    """Columns that decide about the remark on scales: numeric predictors and their products."""
    frame = load_frame(case["data"])
    numeric = {c for c in frame.columns if frame[c].dtype.kind in "if"}
    terms = [n.split(":") for n in case["beta"] if set(n.split(":")) <= numeric]
    used = frame[sorted({v for term in terms for v in term})].dropna()
    columns = [used[term].prod(axis=1).to_numpy(float) for term in terms]
    return np.column_stack(columns) if columns else np.empty((len(frame), 0))


def components(case: dict[str, Any]) -> VarCorr:
    table = case["VarCorr"]["table"]["data"]
    rows = list(zip(*(table[c] for c in ("grp", "var1", "var2", "vcov", "sdcor")), strict=True))
    terms: dict[str, dict[str, float]] = {}
    correlations: dict[tuple[str, str, str], float] = {}
    residual = None
    for grp, var1, var2, _, sdcor in rows:
        if grp == "Residual":
            residual = sdcor
        elif var2 is None:
            terms.setdefault(grp, {})[var1] = sdcor
        else:
            correlations[grp, var1, var2] = np.nan if sdcor is None else sdcor
    return VarCorr(tuple(component(grp, sds, correlations) for grp, sds in terms.items()), residual)


def component(
    grp: str, sds: dict[str, float], correlations: dict[tuple[str, str, str], float]
) -> VarianceComponent:
    columns, sd = tuple(sds), numbers(sds)
    matrix = np.eye(len(columns))
    for j, a in enumerate(columns):
        for i, b in enumerate(columns[j + 1 :], start=j + 1):
            matrix[i, j] = matrix[j, i] = correlations[grp, a, b]
    covariance = matrix * np.outer(sd, sd)
    return VarianceComponent(grp, grp, columns, covariance, sd, matrix)


def verdict(singular: bool) -> Verdict:
    direction = SingularDirection(0, "g", ("x",), np.ones(1), 0.0, DIRECTION)
    return Verdict(
        ok=True,
        sentence="converged",
        gradient=np.zeros(1),
        curvature=1.0,
        predicted_decrease=0.0,
        evaluations=1,
        seconds=0.0,
        optimizer="newton",
        singular=(direction,) if singular else (),
    )


def with_default_optimum(fit: lmerMod, case: dict[str, Any]) -> lmerMod:
    """The fit with the coefficients where lme4's default optimizer stopped."""
    default = case["lme4_default"]
    estimate = SimpleNamespace(
        beta=numbers(default["beta"]),
        sigma=default["sigma"],
        unscaled_covariance=fit.estimate.unscaled_covariance,
    )
    return replace(fit, estimate=estimate)
