"""Child process of test_allocations.py: evaluations of one system, their allocations counted.

Run with the counter preloaded. Arguments: a case of support.work, a factor for its size.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def extension_range() -> tuple[int, int]:
    """Addresses the compiled kernels are mapped at."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    spans = [ln.split()[0].split("-") for ln in lines if "_compiled" in ln]
    return min(int(a, 16) for a, _ in spans), max(int(b, 16) for _, b in spans)


def evaluate(criterion, theta):
    evaluation = criterion.evaluate(theta)
    return evaluation.value, evaluation.gradient, evaluation.hessian


def main() -> None:
    import mixeff as mx
    from mixeff.linear.criterion import LinearCriterion
    from mixeff.linear.working import working_model
    from support.work import SIMULATED, simulate

    name, scale = sys.argv[1], int(sys.argv[2])
    maker, formula, arguments = SIMULATED[name]
    grown = {
        k: tuple(scale * x for x in v) if isinstance(v, tuple) else scale * v
        for k, v in arguments.items()
    }
    SIMULATED[name] = (maker, formula, grown)
    fit = mx.lmer(formula, simulate(name), control=mx.Control(threads=1))
    model = working_model(fit.design, 1)
    criterion = LinearCriterion(model.system, model.partition, True)
    theta = model.partition.start()
    for k in range(3):
        evaluate(criterion, theta * (1 + 0.01 * k))
    counter = ctypes.CDLL(None)
    first, last = extension_range()
    layout = model.system.layout
    counter.counter_watch(ctypes.c_size_t(first), ctypes.c_size_t(last), ctypes.c_size_t(1 << 16))
    out = (ctypes.c_uint64 * 5)()
    counter.counter_start()
    criterion.evaluate(theta * 1.05)
    counter.counter_stop(out)
    value = list(out)
    evaluation = criterion.evaluate(theta * 1.06)
    counter.counter_start()
    np.asarray(evaluation.gradient)
    counter.counter_stop(out)
    gradient = list(out)
    counter.counter_start()
    np.asarray(evaluation.hessian)
    counter.counter_stop(out)
    keys = ("calls", "large", "own", "own_bytes", "bytes")
    result = {
        "value": dict(zip(keys, value, strict=True)),
        "gradient": dict(zip(keys, gradient, strict=True)),
        "hessian": dict(zip(keys, list(out), strict=True)),
        "levels": [int(s.G.shape[0]) for s in layout.stages],
        "tail": int(layout.A.shape[0]),
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
