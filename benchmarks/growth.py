"""How cost grows: with groups, with the smaller of two crossed factors, with rows.

python benchmarks/growth.py             measure, write docs/growth.json, draw docs/growth.png
python benchmarks/growth.py --draw      draw again from docs/growth.json
"""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent / "docs"
sys.path.insert(0, str(HERE))

import simulated  # noqa: E402

Point = dict[str, float]


def least(work: Any, repeats: int = 5, budget: float = 4.0) -> float:
    """The least of several times: what the machine needs when nothing else disturbs it."""
    times: list[float] = []
    while len(times) < repeats and sum(times) < budget:
        begin = perf_counter()
        work()
        times.append(perf_counter() - begin)
    return min(times)


def measure(formula: str, columns: dict[str, Any]) -> Point:
    """Seconds of the cross-products (with coordinates), and of one evaluation with derivatives."""
    import pandas as pd

    import mixeff as mx
    from mixeff.linear.criterion import LinearCriterion
    from mixeff.linear.working import working_model

    frame = pd.DataFrame(
        {k: pd.Categorical(v) if v.dtype.kind in "iu" else v for k, v in columns.items()}
    )
    control = mx.Control(threads=1)
    begin = perf_counter()
    fit = mx.lmer(formula, frame, control=control)
    whole = perf_counter() - begin
    products = least(lambda: working_model(fit.design, 1), 3)
    model = working_model(fit.design, 1)
    criterion = LinearCriterion(model.system, model.partition, True)
    start = model.partition.start()
    steps = iter(range(1, 10**6))

    def evaluate() -> None:
        found = criterion.evaluate(start * (1 + 1e-4 * next(steps)))
        _ = found.value, found.gradient, found.hessian

    evaluate()
    found = {"products": products, "evaluation": least(evaluate, 7), "whole": whole}
    return found | {"evaluations": fit.convergence.evaluations, "rows": len(frame)}


def one_factor() -> list[Point]:
    """Ten rows a group, a correlated slope."""
    formula = "y ~ x1 + x2 + x3 + x4 + (x1 | g)"
    sizes = (1_000, 3_000, 10_000, 30_000, 100_000, 200_000)
    return [
        {"size": J} | measure(formula, dict(simulated.groups(10 * J, J, seed=4))) for J in sizes
    ]


def two_crossed() -> list[Point]:
    """The larger factor has 6,000 levels, every level of it meets half of the smaller one's."""
    formula = "rating ~ 1 + (1 | user) + (1 | item)"
    found = []
    for items in (125, 250, 500, 1_000, 2_000, 3_000):
        columns = simulated.movielens_like(200 * items, 6_000, items, seed=1)
        found.append({"size": items} | measure(formula, dict(columns)))
    return found


def rows_only() -> list[Point]:
    """1,000 groups whatever the number of rows."""
    formula = "y ~ x1 + x2 + x3 + x4 + (x1 | g)"
    sizes = (10_000, 30_000, 100_000, 300_000, 1_000_000, 2_000_000)
    return [{"size": n} | measure(formula, dict(simulated.groups(n, 1_000, seed=4))) for n in sizes]


def slope(points: list[Point], key: str, last: int = 3) -> float:
    """Exponent of the growth over the last points: d log seconds / d log size."""
    x = np.log([p["size"] for p in points[-last:]])
    y = np.log([p[key] for p in points[-last:]])
    return float(np.polyfit(x, y, 1)[0])


def draw(record: dict[str, Any], path: Path) -> None:
    """Three panels, both axes logarithmic; a grey line of the stated growth beside the points."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = (
        ("one_factor", "groups of one factor (10 rows each)", 1.0, "linear"),
        ("two_crossed", "levels of the smaller crossed factor", 3.0, "cube"),
        ("rows_only", "rows (1,000 groups)", 0.0, "constant"),
    )
    figure, axes = plt.subplots(1, 3, figsize=(11.5, 3.8), layout="constrained")
    for axis, (name, label, power, word) in zip(axes, panels, strict=True):
        points = record[name]
        x = np.array([p["size"] for p in points], dtype=float)
        seconds = np.array([p["evaluation"] for p in points])
        products = np.array([p["products"] for p in points])
        axis.loglog(x, products, "s-", color="#c98a2b", ms=4, label="cross-products, once")
        axis.loglog(x, seconds, "o-", color="#1f5f8b", ms=5, label="one evaluation, derivatives")
        guide = seconds[-1] * (x / x[-1]) ** power
        axis.loglog(x, guide, "--", color="0.6", lw=1, label=word)
        axis.set_xlabel(label)
        axis.set_xticks(x, [f"{v:,.0f}" for v in x], rotation=30)
        axis.minorticks_off()
        axis.grid(True, which="major", color="0.92")
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8, loc="upper left")
        low, high = axis.get_ylim()
        axis.set_ylim(low, high * 6)  # room for the legend
    axes[0].set_ylabel("seconds")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """Measure and draw."""
    numbers = DOCS / "growth.json"
    if "--draw" not in sys.argv[1:]:
        record: dict[str, Any] = {
            "one_factor": one_factor(),
            "two_crossed": two_crossed(),
            "rows_only": rows_only(),
        }
        record["exponents"] = {
            f"{name}, {key}": round(slope(record[name], key), 2)
            for name in ("one_factor", "two_crossed", "rows_only")
            for key in ("evaluation", "products")
        }
        record["machine"] = {"Python": platform.python_version(), "cores": os.cpu_count()}
        numbers.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    record = json.loads(numbers.read_text(encoding="utf-8"))
    draw(record, DOCS / "growth.png")
    print(json.dumps(record["exponents"], indent=1))


if __name__ == "__main__":
    main()
