"""Work of a fit that a busy machine does not change: evaluations, bytes held, flops of the tail."""

from __future__ import annotations

import dataclasses
import importlib
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mixeff as mx
from mixeff.errors import MixeffWarning
from mixeff.linear.working import working_model
from support.fits import fit_case
from support.reference import case_ids, load_case, load_frame

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "tests" / "work" / "counts.json"

SIMULATED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "slopes": (
        "groups",
        "y ~ x1 + x2 + x3 + x4 + (x1 | g)",
        {"rows": 20_000, "count": 2_000},
    ),
    "movielens": (
        "movielens_like",
        "rating ~ 1 + (1 | user) + (1 | item)",
        {"rows": 20_000, "users": 400, "items": 200},
    ),
    "maximal": (
        "maximal_crossed",
        "y ~ x1 * x2 * x3 + (x1 * x2 * x3 | s) + (x1 * x2 * x3 | i)",
        {},
    ),
    "vectors": (
        "crossed_vectors",
        "y ~ x + (x | a) + (x | b) + (x | c)",
        {"rows": 8_000, "levels": (50, 100, 500)},
    ),
    "partially": (
        "partially_crossed",
        "y ~ x + (1 | a) + (1 | b)",
        {"rows": 20_000, "first": 2_000, "second": 1_000},
    ),
}


GENERALIZED: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "poisson": ("poisson_slopes", "y ~ x + (x | g)", "poisson", {"rows": 5_000, "count": 250}),
    "bernoulli": (
        "bernoulli_crossed",
        "y ~ x + (1 | a) + (1 | b)",
        "binomial",
        {"rows": 20_000, "first": 400, "second": 100},
    ),
}
"""Small versions of the generalized benchmarks: generator, formula, family, arguments."""


def simulate(name: str) -> dict[str, Any]:
    """The small version of a benchmark's data; whole numbers become levels."""
    maker, _, arguments = SIMULATED[name]
    return _simulated(maker, arguments)


def _simulated(maker: str, arguments: dict[str, Any]) -> dict[str, Any]:
    folder = str(ROOT / "benchmarks")
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        module = importlib.import_module("simulated")
    except ModuleNotFoundError:
        pytest.skip("benchmarks/ is not part of this copy")
    columns = getattr(module, maker)(**arguments)
    return {k: v.astype(str) if v.dtype.kind in "iu" else v for k, v in columns.items()}


def evaluations_of_case(name: str) -> int:
    """Evaluations of the criterion of one reference case, all starts together."""
    return int(fit_case(name).convergence.evaluations)


def generalized_models() -> list[str]:
    """Every generalized reference case, and the simulated models."""
    return [*case_ids("glmm"), *GENERALIZED]


def evaluations_of_generalized(name: str) -> int:
    """Evaluations of the approximated likelihood, all starts together."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixeffWarning)  # of the model; other tests are for them
        if name in GENERALIZED:
            maker, formula, family, arguments = GENERALIZED[name]
            fit = mx.glmer(formula, _simulated(maker, arguments), family)
        else:
            case = load_case(name)
            fit = mx.glmer(
                case["formula"],
                load_frame(case["data"]),
                case["family"],
                link=case["link"],
                n_agq=case["nAGQ"],
                weights=case.get("weights"),
                offset=case.get("offset"),
                control=mx.Control(double_bar="lme4"),
            )
    return int(fit.convergence.evaluations)


def work_of_simulated(name: str) -> dict[str, int]:
    """Evaluations; bytes held by system and one factor; flops of the tail per evaluation."""
    fit = mx.lmer(SIMULATED[name][1], simulate(name), control=mx.Control(threads=1))
    model = working_model(fit.design, 1)
    system = model.system
    factor = system.factorize(model.partition.block_factors(model.partition.start()))
    factor.trace_blocks(True)
    factor.scores()
    return {
        "evaluations": int(fit.convergence.evaluations),
        "bytes": bytes_held(system, factor),
        # Of a dense block of m columns: m^3 / 3 for the factor and 2 m^3 / 3 for the inverse.
        "tail_flops": int(system.tail.work),
    }


def bytes_held(*objects: object) -> int:
    """Bytes of all arrays reachable from ``objects``, memory shared by several counted once."""
    found: dict[int, int] = {}
    for array in _arrays(objects, set()):
        owner = array
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        found[id(owner)] = owner.nbytes
    return sum(found.values())


def _arrays(value: object, seen: set[int]) -> Iterator[np.ndarray[Any, Any]]:
    """Every array in tuples, lists, dicts and objects of ours."""
    if isinstance(value, np.ndarray):
        yield value
        return
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, (tuple, list)):
        inside: Any = value
    elif isinstance(value, dict):
        inside = value.values()
    elif dataclasses.is_dataclass(value):
        inside = [getattr(value, f.name) for f in dataclasses.fields(value)]
    elif type(value).__module__.startswith("mixeff."):
        inside = vars(value).values()
    else:
        return
    for item in inside:
        yield from _arrays(item, seen)


def measure_all() -> dict[str, dict[str, Any]]:
    """The whole table, as committed in tests/work/counts.json."""
    return {
        "generalized": {name: evaluations_of_generalized(name) for name in generalized_models()},
        "reference": {name: evaluations_of_case(name) for name in case_ids("lmm")},
        "simulated": {name: work_of_simulated(name) for name in SIMULATED},
    }
