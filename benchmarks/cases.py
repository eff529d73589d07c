"""The models that are timed, and what is asked of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["fit", "evaluation", "bootstrap", "refit", "inference"]


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table.

    Attributes
    ----------
    name, title : str
    source : str
        A packaged data set, or ``simulated.`` and the name of a generator there.
    formula : str
    asked : float
        mixeff's seconds are to be at most ``asked`` times the seconds compared with.
    kind : str
        ``fit``: the whole call, formula and data frame in, fit out, against lme4's.
        ``evaluation``: the whole call against one evaluation of lme4's criterion.
        ``bootstrap``: one replicate of a batch of refits against one lme4 refit.
        ``refit``: a fit to a new response against mixeff's own first fit.
        ``inference``: what is done with a fit, the fit itself not timed.
    work : str
        Of an inference case, what is done: a name in ``inference_work.WORK``.
    statsmodels : tuple or None
        (formula, groups, re_formula) where its MixedLM can fit the model.
    peers : tuple of str
        Packages that can state the model.
    small : dict
        Arguments of the generator for ``--quick``.
    replicates : int
        Further responses written with the data.
    family : str
        Of a generalized model, which `glmer` fits; empty for a linear one.
    against : str
        What mixeff's seconds are compared with: ``lme4``, or ``peer``, the faster Python package.
    lme4_nodes : int
        lme4's ``nAGQ``: 1 is the Laplace approximation mixeff fits.
    remark : str
        A sentence below the table, where the comparison is not the plain one.
    columns : dict
        Columns added for packages whose formulas cannot transform, from the frame.
    stated : dict
        Package to (formula, column of weights or ""), where it needs another formula than ours.
    patience : dict
        Package to the seconds it is given at least.
    """

    name: str
    title: str
    source: str
    formula: str
    asked: float | None = None
    kind: Kind = "fit"
    statsmodels: tuple[str, str, str] | None = None
    peers: tuple[str, ...] = ("glmm", "mixedlm")
    beats_peer: bool = False
    small: dict[str, Any] = field(default_factory=dict)
    work: str = ""
    replicates: int = 0
    family: str = ""
    against: Literal["lme4", "peer"] = "lme4"
    lme4_nodes: int = 1
    remark: str = ""
    columns: dict[str, Callable[[pd.DataFrame], pd.Series]] = field(default_factory=dict)
    stated: dict[str, tuple[str, str]] = field(default_factory=dict)
    patience: dict[str, float] = field(default_factory=dict)


_SLEEP = "Reaction ~ Days + (Days | Subject)"
_EVALUATIONS = "y ~ service + (1 | s) + (1 | d) + (1 | dept)"
_USE = "use ~ age + I(age^2) + urban + livch + (1 | district)"
_AGGRESSION = "r2 ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)"


def _both(formula: str) -> dict[str, tuple[str, str]]:
    return {"glmm": (formula, ""), "mixedlm": (formula, "")}


def _yes(name: str) -> Callable[[pd.DataFrame], pd.Series]:
    return lambda frame: (frame[name] == "Y").astype(float)


CASES = (
    Case(
        "sleepstudy",
        "sleepstudy `(Days | Subject)`, whole call",
        "sleepstudy",
        _SLEEP,
        1 / 30,
        statsmodels=("Reaction ~ Days", "Subject", "~Days"),
        beats_peer=True,
    ),
    Case(
        "nlschools",
        "nlschools `(1 | class)`, whole call",
        "nlschools",
        "lang ~ IQ + GS + SES + COMB + (1 | class)",
        1 / 20,
        statsmodels=("lang ~ IQ + GS + SES + COMB", "class", "1"),
    ),
    Case(
        "Penicillin",
        "Penicillin, two crossed factors",
        "Penicillin",
        "diameter ~ 1 + (1 | plate) + (1 | sample)",
    ),
    Case(
        "Chem97",
        "Chem97 nested, 31k rows",
        "Chem97",
        "score ~ gcsecnt + gender + age + (1 | lea/school)",
        1 / 20,
    ),
    Case("InstEval", "InstEval, 73k rows, three factors", "InstEval", _EVALUATIONS, 1 / 10),
    Case(
        "slopes",
        "1e6 rows, 1e5 groups, correlated slope, 5 fixed effects",
        "simulated.groups",
        "y ~ x1 + x2 + x3 + x4 + (x1 | g)",
        1 / 60,
        small={"rows": 20_000, "count": 2_000},
    ),
    Case(
        "movielens",
        "MovieLens-like crossed: 1e6 ratings, 6040 x 3706",
        "simulated.movielens_like",
        "rating ~ 1 + (1 | user) + (1 | item)",
        1 / 20,
        small={"rows": 20_000, "users": 400, "items": 200},
    ),
    Case(
        "maximal",
        "maximal crossed: 56 x 32, 72 parameters",
        "simulated.maximal_crossed",
        "y ~ x1 * x2 * x3 + (x1 * x2 * x3 | s) + (x1 * x2 * x3 | i)",
        1 / 50,
    ),
    Case(
        "vectors",
        "three crossed vector terms, 130k rows, against 1 evaluation",
        "simulated.crossed_vectors",
        "y ~ x + (x | a) + (x | b) + (x | c)",
        8.0,
        kind="evaluation",
        peers=(),
        small={"rows": 8_000, "levels": (50, 200, 1000)},
    ),
    Case(
        "partial",
        "partially crossed: 200k rows, 20,000 x 10,000, neighbours only",
        "simulated.partially_crossed",
        "y ~ x + (1 | a) + (1 | b)",
        peers=(),
        small={"rows": 20_000, "first": 2_000, "second": 1_000},
    ),
    Case(
        "bootstrap",
        "parametric bootstrap, sleepstudy, per replicate",
        "sleepstudy",
        _SLEEP,
        1 / 1000,
        kind="bootstrap",
        peers=(),
        replicates=20_000,
    ),
    Case(
        "refit",
        "refit with a new response, InstEval, against mixeff's first fit",
        "InstEval",
        _EVALUATIONS,
        1 / 3,
        kind="refit",
        peers=(),
        replicates=1,
    ),
    Case(
        "cbpp",
        "glmer: cbpp, binomial, 56 rows, whole call",
        "cbpp",
        "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        1 / 80,
        family="binomial",
        columns={
            "failures": lambda frame: frame["size"] - frame["incidence"],
            "share": lambda frame: frame["incidence"] / frame["size"],
        },
        stated={
            "glmm": ("cbind(incidence, failures) ~ period + (1 | herd)", ""),
            "mixedlm": ("share ~ period + (1 | herd)", "size"),
        },
    ),
    Case(
        "Contraception",
        "glmer: Contraception, Bernoulli, 1934 rows",
        "Contraception",
        _USE,
        1 / 60,
        family="binomial",
        columns={"used": _yes("use"), "age2": lambda frame: frame["age"] ** 2},
        stated=_both(_USE.replace("use", "used").replace("I(age^2)", "age2")),
    ),
    Case(
        "VerbAgg",
        "glmer: VerbAgg, Bernoulli, 7584 rows, two crossed factors",
        "VerbAgg",
        _AGGRESSION,
        1 / 60,
        family="binomial",
        columns={"yes": _yes("r2")},
        stated=_both(_AGGRESSION.replace("r2", "yes")),
    ),
    Case(
        "poisson",
        "glmer: Poisson, 1e5 rows, 5e3 groups, correlated slope",
        "simulated.poisson_slopes",
        "y ~ x + (x | g)",
        1 / 60,
        family="poisson",
        small={"rows": 5_000, "count": 250},
    ),
    Case(
        "bernoulli",
        "glmer: Bernoulli, 1e6 rows, 1e4 x 1e3 crossed, against the best peer",
        "simulated.bernoulli_crossed",
        "y ~ x + (1 | a) + (1 | b)",
        1 / 12,
        family="binomial",
        against="peer",
        lme4_nodes=0,
        remark="lme4 fits the large Bernoulli model with nAGQ = 0 only: with a million rows its "
        "Laplace fit takes more than ten minutes. Its log-likelihood there is the Laplace "
        "approximation at rougher estimates, and its time is not what mixeff's is compared with.",
        small={"rows": 20_000, "first": 400, "second": 100},
        patience={"glmm": 900.0},
    ),
    Case(
        "kr_sleepstudy",
        "Kenward-Roger, sleepstudy, against pbkrtest",
        "sleepstudy",
        _SLEEP,
        1 / 20,
        kind="inference",
        work="kenward-roger",
        peers=(),
    ),
    Case(
        "kr_crossed",
        "Kenward-Roger, 10,000 rows, 400 x 100 crossed, against pbkrtest",
        "simulated.crossed_intercepts",
        "y ~ x + t + (1 | a) + (1 | b)",
        1 / 20,
        kind="inference",
        work="kenward-roger",
        peers=(),
        small={"rows": 1_000, "first": 60, "second": 20},
    ),
    Case(
        "profile_sleepstudy",
        "profile of all parameters, sleepstudy, with intervals",
        "sleepstudy",
        _SLEEP,
        1 / 20,
        kind="inference",
        work="profile",
        peers=(),
    ),
    Case(
        "interval_sleepstudy",
        "bootstrap intervals, 1,000 replicates, sleepstudy (a second is asked)",
        "sleepstudy",
        _SLEEP,
        kind="inference",
        work="bootstrap interval",
        peers=(),
    ),
)


def frame_of(case: Case, quick: bool) -> pd.DataFrame:
    """The data; whole-number columns of simulated data are grouping factors."""
    import pandas as pd
    import simulated

    import mixeff as mx

    if not case.source.startswith("simulated."):
        frame = mx.load_dataset(case.source)
        return frame.assign(**case.columns) if case.columns else frame
    make = getattr(simulated, case.source.removeprefix("simulated."))
    columns = make(**(case.small if quick else {}))
    return pd.DataFrame(
        {k: pd.Categorical(v) if v.dtype.kind in "iu" else v for k, v in columns.items()}
    )


def responses_of(case: Case, frame: pd.DataFrame, quick: bool) -> NDArray[np.float64] | None:
    """(n, replicates) responses drawn from a model near the estimates on the real data."""
    if not case.replicates:
        return None
    rng = np.random.default_rng(11)
    n, m = len(frame), min(case.replicates, 200) if quick else case.replicates
    if case.name == "bootstrap":
        subject = frame["Subject"].cat.codes.to_numpy()
        days = frame["Days"].to_numpy(dtype=np.float64)
        cov = [[612.0, 9.6], [9.6, 35.1]]
        b = rng.multivariate_normal([251.4, 10.47], cov, (m, subject.max() + 1))
        noise = rng.normal(0.0, 25.6, (m, n))
        return (b[:, subject, 0] + b[:, subject, 1] * days + noise).T
    y = 3.3 - 0.09 * (frame["service"] == "1").to_numpy() + rng.normal(0.0, 1.18, n)
    for name, sd in (("s", 0.33), ("d", 0.51), ("dept", 0.08)):
        codes = frame[name].cat.codes.to_numpy()
        y += rng.normal(0.0, sd, codes.max() + 1)[codes]
    return np.asarray(y)[:, None]
