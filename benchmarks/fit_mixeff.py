"""Child process: time one case in mixeff, print one line of JSON. Argument: a JSON file."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from exchange import read_frame
from inference_work import WORK, criterion
from memory import peak_above, reset_peak

import mixeff as mx


def timed(work: Callable[[], Any], repeats: int, budget: float) -> tuple[Any, list[float]]:
    """The last result and the seconds of each call; a long call is not repeated for warmth."""
    begin = perf_counter()
    result = work()
    first = perf_counter() - begin
    seconds = [first] if first > 2 else []
    while not seconds or (len(seconds) < repeats and sum(seconds) < budget):
        begin = perf_counter()
        result = work()
        seconds.append(perf_counter() - begin)
    return result, seconds


def warm(family: str) -> None:
    """Load every module a fit needs, on data of no interest."""
    y = np.array([1.0, 2.0, 4.0, 3.0, 5.0, 7.0, 2.0, 9.0])
    g = np.array(["a", "a", "b", "b", "c", "c", "d", "d"])
    mx.lmer("y ~ 1 + (1 | g)", {"y": y, "g": g}).refit(y[::-1])
    mx.lmer("y ~ x + (x | g) + (x | h)", crossed())
    if family:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # eight rows may well be singular
            mx.glmer("y ~ 1 + (1 | g)", {"y": (y > 3) * 1.0, "g": g}, family)


def crossed() -> pd.DataFrame:
    """The data frame fit_lme4.R warms up with too: 1200 rows, 120 by 110 levels."""
    i = np.arange(1200)
    g, h, x = i % 120, (7 * i + i // 120) % 110, np.sin(i)
    y = np.cos(3 * i) + np.sin(g) + x * np.cos(g) + np.sin(2 * h) + x * np.cos(2 * h)
    return pd.DataFrame({"y": y, "x": x, "g": pd.Categorical(g), "h": pd.Categorical(h)})


def main() -> None:
    """Read the specification, fit, report."""
    spec = json.loads(Path(sys.argv[1]).read_text())
    data, responses = read_frame(Path(spec["folder"]))
    control = mx.Control(threads=spec["threads"])
    warm(spec["family"])

    def fit_once() -> Any:
        if spec["family"]:
            return mx.glmer(spec["formula"], data, spec["family"], control=control)
        return mx.lmer(spec["formula"], data, control=control)

    before = reset_peak()
    fit = fit_once()
    out: dict[str, Any] = {"version": mx.__version__, "memory": peak_above(before)}
    _, out["first_fit"] = timed(fit_once, *spec["limits"])
    out["evaluations"] = fit.convergence.evaluations
    out["verdict"] = fit.convergence.sentence
    out["loglik"], out["theta"] = fit.loglik, [float(t) for t in fit.theta]
    out["seconds"], out["nobs"] = out["first_fit"], fit.nobs
    if spec["kind"] == "refit":
        before = reset_peak()
        fit.refit(responses[:, 0])
        out["memory"] = peak_above(before)
        again, out["seconds"] = timed(lambda: fit.refit(responses[:, 0]), *spec["limits"])
        out["loglik"], out["evaluations"] = again.loglik, again.convergence.evaluations
    if spec["kind"] == "bootstrap":
        out |= bootstrap(fit, responses, spec)
    if spec["kind"] == "inference":
        out |= inference(fit, spec)
    print(json.dumps(out))


def bootstrap(fit: Any, responses: Any, spec: dict[str, Any]) -> dict[str, Any]:
    """Seconds per replicate of one batch; the log-likelihoods of the first ones."""
    responses = np.ascontiguousarray(responses)
    count = responses.shape[1]
    before = reset_peak()
    if hasattr(mx, "refit_many"):
        batch, seconds = timed(
            lambda: mx.refit_many(fit, responses, threads=spec["threads"]), *spec["limits"]
        )
        logliks = np.asarray(batch.loglik)
        evaluations = float(np.mean(batch.evaluations))
        how = "refit_many"
    else:
        count = min(count, 200)
        fits, seconds = timed(
            lambda: [fit.refit(responses[:, j]) for j in range(count)], *spec["limits"]
        )
        logliks = np.array([f.loglik for f in fits])
        evaluations = float(np.mean([f.convergence.evaluations for f in fits]))
        how = "refit, one after the other"
    return {
        "seconds": [s / count for s in seconds],
        "replicates": count,
        "how": how,
        "memory": peak_above(before),
        "evaluations": evaluations,
        "loglik": float(logliks[0]),
        "logliks": [float(v) for v in logliks[:20]],
        "median": median(seconds) / count,
    }


def inference(fit: Any, spec: dict[str, Any]) -> dict[str, Any]:
    """Seconds of what is done with the fit, and its numbers.

    Every time with a copy of the fit: a fit keeps what its first table asked for.
    """
    work = WORK[spec["work"]]
    before = reset_peak()
    work(replace(fit))
    memory = peak_above(before)
    answers, seconds = timed(lambda: work(replace(fit)), *spec["limits"])
    loglik = criterion(fit, spec["work"])
    return {"seconds": seconds, "memory": memory, "answers": answers, "loglik": loglik}


if __name__ == "__main__":
    main()
