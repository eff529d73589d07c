"""How often 5 % tests reject a true hypothesis, and 95 % intervals hold the truth.

    python benchmarks/coverage.py                   # 10,000 data sets per design, about an hour
    python benchmarks/coverage.py --data-sets 200   # a quick look

Two small, unbalanced designs of fixed seed, every data set drawn from the model that is fitted to
it, by every method mixeff has. Writes ``docs/coverage.json``, from which `page.py` makes the table
of ``docs/which-test.md``.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mixeff as mx

ROOT = Path(__file__).resolve().parent.parent
Floats = NDArray[np.float64]
LEVEL = 0.95
SEED = 20261123
CHUNK = 100


@dataclass(frozen=True, slots=True)
class Design:
    """A model with its true parameters.

    Attributes
    ----------
    name, title : str
    formula, reduced : str
        The model, and the one without the tested coefficient.
    sizes : tuple of int, rows of each group
    tested : str
        The coefficient whose true value is zero.
    beta : dict, true fixed effects by name
    random_sd : dict, true standard deviations by the name of their interval
    slope : bool, whether x has a random slope, uncorrelated with the intercept in truth
    """

    name: str
    title: str
    formula: str
    reduced: str
    sizes: tuple[int, ...]
    tested: str
    beta: dict[str, float]
    random_sd: dict[str, float]
    slope: bool = False


DESIGNS = (
    Design(
        "between",
        "12 groups of 2 to 9 rows, a predictor of groups",
        "y ~ x + t + (1 | g)",
        "y ~ x + (1 | g)",
        (2, 2, 3, 3, 4, 4, 5, 6, 7, 8, 9, 9),
        "t",
        {"(Intercept)": 1.0, "x": 0.5, "t": 0.0},
        {"sd_(Intercept)|g": 0.8, "sigma": 1.0},
    ),
    Design(
        "slope",
        "10 groups of 4 to 10 rows, a predictor with a random slope",
        "y ~ x + (x | g)",
        "y ~ 1 + (x | g)",
        (4, 4, 5, 5, 6, 7, 8, 9, 10, 10),
        "x",
        {"(Intercept)": 1.0, "x": 0.0},
        {"sd_(Intercept)|g": 0.8, "sd_x|g": 0.5, "sigma": 1.0},
        slope=True,
    ),
)


def columns(design: Design, rng: np.random.Generator) -> dict[str, Any]:
    """Predictors and groups, drawn once per design."""
    g = np.repeat(np.arange(len(design.sizes)), design.sizes)
    # Four of the first groups and one of the large ones: unbalanced in number and in size.
    t = np.isin(np.arange(len(design.sizes)), (0, 1, 3, 5, 10)).astype(float)
    return {"x": rng.normal(size=g.size), "t": t[g], "g": np.array([f"g{k:02d}" for k in g])}


def responses(design: Design, data: dict[str, Any], count: int, rng: np.random.Generator) -> Floats:
    """(n, count) data sets drawn from the model."""
    _, g = np.unique(data["g"], return_inverse=True)
    mean = sum(
        value * (1.0 if name == "(Intercept)" else data[name])
        for name, value in design.beta.items()
    )
    sds, groups = design.random_sd, len(design.sizes)
    y = mean + np.zeros(g.size)
    Y = np.repeat(y[:, None], count, axis=1)
    Y += sds["sd_(Intercept)|g"] * rng.normal(size=(groups, count))[g]
    if design.slope:
        Y += sds["sd_x|g"] * rng.normal(size=(groups, count))[g] * data["x"][:, None]
    return np.asarray(Y + sds["sigma"] * rng.normal(size=Y.shape))


class Tally:
    """Counts of rejections and of intervals that hold the truth."""

    def __init__(self) -> None:
        self.rejected: dict[str, list[bool]] = {}
        self.covered: dict[str, dict[str, list[bool]]] = {}

    def test(self, method: str, p_value: float) -> None:
        """One p value of the tested coefficient."""
        self.rejected.setdefault(method, []).append(p_value < 1 - LEVEL)

    def interval(self, method: str, name: str, lower: float, upper: float, truth: float) -> None:
        """One interval."""
        held = self.covered.setdefault(method, {}).setdefault(name, [])
        held.append(bool(lower <= truth <= upper))

    def add(self, other: Tally) -> None:
        """Count what another one counted."""
        for method, found in other.rejected.items():
            self.rejected.setdefault(method, []).extend(found)
        for method, by in other.covered.items():
            for name, held in by.items():
                self.covered.setdefault(method, {}).setdefault(name, []).extend(held)

    def record(self) -> dict[str, Any]:
        """Percentages, with their number of data sets."""
        return {
            "size": {m: 100 * float(np.mean(v)) for m, v in self.rejected.items()},
            "coverage": {
                m: {name: 100 * float(np.mean(v)) for name, v in by.items()}
                for m, by in self.covered.items()
            },
        }


def judge(design: Design, fit: Any, tally: Tally, replicates: int, seed: int) -> None:
    """Every method on one data set."""
    names = list(design.beta)
    for method, ddf in (
        ("z", "asymptotic"),
        ("Satterthwaite", "satterthwaite"),
        ("Kenward-Roger", "kenward-roger"),
    ):
        table = fit.contrast(np.eye(len(names)), ddf=ddf, level=LEVEL)
        tally.test(method, float(table["p_value"][names.index(design.tested)]))
        for j, name in enumerate(names):
            ends = float(table["lower"][j]), float(table["upper"][j])
            tally.interval(method, name, *ends, design.beta[name])
    truths = design.beta | design.random_sd
    profile = fit.confint(method="profile", level=LEVEL)
    draws = fit.confint(method="bootstrap", nsim=replicates, seed=seed, level=LEVEL)
    for method, intervals in (("profile", profile), ("bootstrap, percentile", draws)):
        lower, upper = intervals["lower"], intervals["upper"]
        for name, truth in truths.items():
            tally.interval(method, name, lower[name], upper[name], truth)
        zero_outside = not lower[design.tested] <= 0.0 <= upper[design.tested]
        tally.test(method, 0.0 if zero_outside else 1.0)


def likelihood_ratio(design: Design, data: dict[str, Any], Y: Floats, tally: Tally) -> None:
    """The chi-square test of all data sets, on the batch engine."""
    from scipy.stats import chi2

    frame = data | {"y": Y[:, 0]}
    full, reduced = (
        mx.refit_many(mx.lmer(formula, frame, reml=False), Y).loglik
        for formula in (design.formula, design.reduced)
    )
    for p_value in chi2.sf(np.maximum(0.0, 2.0 * (full - reduced)), 1):
        tally.test("likelihood ratio", float(p_value))


def judge_some(design: Design, Y: Floats, first: int, replicates: int) -> tuple[Tally, int]:
    """The data sets in the columns of Y, of which ``first`` is the number of the first."""
    tally, singular = Tally(), 0
    data = columns(design, np.random.default_rng(SEED))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # singular fits are part of the matter, and counted
        model = mx.lmer(design.formula, data | {"y": Y[:, 0]}, control=mx.Control(threads=1))
        for j in range(Y.shape[1]):
            fit = model.refit(Y[:, j])
            singular += fit.is_singular
            judge(design, fit, tally, replicates, seed=first + j)
    return tally, singular


def run(design: Design, count: int, replicates: int, workers: int) -> dict[str, Any]:
    """One design; the result is the same for any number of workers."""
    rng = np.random.default_rng(SEED)
    data = columns(design, rng)
    Y = responses(design, data, count, rng)
    starts = range(0, count, CHUNK)
    tally, singular = Tally(), 0
    with ProcessPoolExecutor(workers) as pool:
        parts = [
            pool.submit(judge_some, design, Y[:, j : j + CHUNK], j, replicates) for j in starts
        ]
        for done, part in enumerate(parts, start=1):
            own, found = part.result()
            tally.add(own)
            singular += found
            if sys.stderr.isatty():
                print(f"\r{design.name}: {done} of {len(parts)}", end="", file=sys.stderr)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        likelihood_ratio(design, data, Y, tally)
    about = {"title": design.title, "formula": design.formula, "tested": design.tested}
    return {**about, "data_sets": count, "singular": singular, **tally.record()}


def main() -> None:
    """Both designs, to the file the documentation reads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-sets", type=int, default=10_000)
    parser.add_argument("--replicates", type=int, default=1_000, help="of each bootstrap")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "coverage.json")
    options = parser.parse_args()
    record = {
        "replicates": options.replicates,
        "designs": {
            d.name: run(d, options.data_sets, options.replicates, options.workers) for d in DESIGNS
        },
    }
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
