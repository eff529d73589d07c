"""Child process of test_instructions.py, run under callgrind. Arguments: the shim, the cases."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def sleepstudy() -> Callable[[], object]:
    """The whole call on data of sleepstudy's shape, Python included."""
    import mixeff as mx

    rng = np.random.default_rng(1)
    subject = np.repeat(np.arange(18), 10)
    days = np.tile(np.arange(10.0), 18)
    effect = rng.multivariate_normal([250, 10], [[612, 10], [10, 35]], 18)[subject]
    y = effect[:, 0] + effect[:, 1] * days + rng.normal(0, 25, 180)
    data = {"Reaction": y, "Days": days, "Subject": subject.astype(str)}
    return lambda: mx.lmer("Reaction ~ Days + (Days | Subject)", data)


def cbpp() -> Callable[[], object]:
    """The whole generalized fit on data of cbpp's shape, as the call returns it."""
    import mixeff as mx

    rng = np.random.default_rng(2)
    herd = np.repeat(np.arange(14), 4)
    period = np.tile(np.arange(4), 14)
    size = rng.integers(5, 30, 56)
    eta = -1.4 - 0.5 * period + rng.normal(0.0, 0.6, 14)[herd]
    cases = rng.binomial(size, 1.0 / (1.0 + np.exp(-eta)))
    data = {
        "incidence": cases.astype(float),
        "size": size.astype(float),
        "period": period.astype(str),
        "herd": herd.astype(str),
    }
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return lambda: mx.glmer(formula, data, "binomial")


def evaluation(name: str) -> Callable[[], object]:
    """One evaluation with its derivatives on a small version of a benchmark."""
    import mixeff as mx
    from mixeff.control import Control
    from mixeff.linear.criterion import LinearCriterion
    from mixeff.linear.working import working_model
    from support.work import SIMULATED, simulate

    fit = mx.lmer(SIMULATED[name][1], simulate(name), control=Control(threads=1, max_evaluations=1))
    model = working_model(fit.design, 1)
    criterion = LinearCriterion(model.system, model.partition, True)
    start = model.partition.start()
    steps = iter(range(1, 100))

    def once() -> object:
        found = criterion.evaluate(start * (1 + 0.001 * next(steps)))
        return found.value, found.gradient, found.hessian

    return once


CALLS = {"sleepstudy call": sleepstudy, "cbpp call": cbpp}


def main() -> None:
    import warnings

    warnings.simplefilter("ignore")
    shim = ctypes.CDLL(sys.argv[1])
    for name in sys.argv[2:]:
        work = CALLS[name]() if name in CALLS else evaluation(name)
        work()
        work()
        shim.instructions_start()
        work()
        shim.instructions_stop(name.encode())


if __name__ == "__main__":
    main()
