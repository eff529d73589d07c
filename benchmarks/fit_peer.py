"""Child process: time one case in another Python package, print one line of JSON.

Arguments: a JSON file. Runs in whatever environment has the packages; needs no mixeff.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

from exchange import read_frame
from memory import peak_above, reset_peak


def fitter(spec: dict[str, Any], data: Any) -> Callable[[], tuple[float, int | None]]:
    """A function that fits once and returns (log-likelihood, evaluations)."""
    formula, weights = spec.get("stated") or (spec["formula"], "")
    if spec["family"]:
        return generalized_fitter(
            spec, data, formula, data[weights].to_numpy() if weights else None
        )
    if spec["peer"] == "glmm":
        import glmm

        def fit_glmm() -> tuple[float, int | None]:
            # No degrees of freedom: the others do not compute them either.
            fit = glmm.fit(data, formula, satterthwaite=False)
            return float(fit.loglik), int(fit.n_eval)

        return fit_glmm
    if spec["peer"] == "mixedlm":
        import mixedlm

        def fit_mixedlm() -> tuple[float, int | None]:
            fit = mixedlm.lmer(formula, data)
            return float(fit.logLik().value), int(fit.function_evals)

        return fit_mixedlm
    from statsmodels.formula.api import mixedlm as fit_model

    fixed, groups, random = spec["statsmodels"]

    def fit_statsmodels() -> tuple[float, int | None]:
        model = fit_model(fixed, data, groups=data[groups], re_formula=random)
        return float(model.fit(reml=True).llf), None

    return fit_statsmodels


def generalized_fitter(
    spec: dict[str, Any], data: Any, formula: str, weights: Any
) -> Callable[[], tuple[float, int | None]]:
    """The same for a generalized model; both packages report log-likelihoods with all constants."""
    family = spec["family"]
    if spec["peer"] == "glmm":
        import glmm

        def fit_glmm() -> tuple[float, int | None]:
            # Standard errors from the Hessian, its default and what mixeff computes. No tables of
            # likelihood-ratio tests, for which it would fit a Poisson model again per term.
            fit = glmm.fit(data, formula, family, weights=weights, anova_test="Wald")
            return float(fit.loglik), int(fit.n_eval)

        return fit_glmm
    import mixedlm

    kinds = {"binomial": mixedlm.families.Binomial, "poisson": mixedlm.families.Poisson}

    def fit_mixedlm() -> tuple[float, int | None]:
        fit = mixedlm.glmer(formula, data, family=kinds[family](), weights=weights)
        return float(fit.logLik().value), None  # it counts iterations, not evaluations

    return fit_mixedlm


def main() -> None:
    """Read the specification, fit, report."""
    spec = json.loads(Path(sys.argv[1]).read_text())
    data, _ = read_frame(Path(spec["folder"]))
    warnings.simplefilter("ignore")
    work = fitter(spec, data)
    before = reset_peak()
    begin = perf_counter()
    loglik, evaluations = work()
    first = perf_counter() - begin
    memory = peak_above(before)
    seconds = [first] if first > 2 else []
    repeats, budget = spec["limits"]
    while not seconds or (len(seconds) < repeats and sum(seconds) < budget):
        begin = perf_counter()
        loglik, evaluations = work()
        seconds.append(perf_counter() - begin)
    out = {"version": version(spec["peer"]), "seconds": seconds, "memory": memory}
    print(json.dumps(out | {"loglik": loglik, "evaluations": evaluations}))


if __name__ == "__main__":
    main()
