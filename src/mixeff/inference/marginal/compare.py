"""Contrasts among the rows of a table of estimates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import OptionError
from mixeff.inference.marginal.adjust import STEPWISE, Family, adjusted, adjustment
from mixeff.inference.marginal.coefficients import Coefficients, coefficients
from mixeff.inference.marginal.estimates import Axis, Estimates, worded
from mixeff.inference.marginal.predictors import unknown_name
from mixeff.inference.marginal.rows import (
    label_columns,
    scale_notes,
    shown,
    title_of,
    unestimable,
    wald,
)
from mixeff.inference.marginal.tables import EstimateTable
from mixeff.model.options import check_level

Floats = NDArray[np.float64]

_DEFAULTS = {
    "pairwise": "tukey",
    "revpairwise": "tukey",
    "trt.vs.ctrl": "mvt",
    "consecutive": "mvt",
    "mean_chg": "mvt",
    "eff": "fdr",
    "del.eff": "fdr",
}
_PAIRS = ("pairwise", "revpairwise")
# Smaller eigenvalues of a correlation matrix are rounding.
_SINGULAR = 1e-10


def contrast(
    estimates: Estimates,
    method: Any,
    *,
    by: Any,
    adjust: str | None,
    interaction: Any,
    ref: Any,
    level: float | None,
) -> EstimateTable:
    """Contrasts of estimates; see `EstimateTable.contrast`."""
    asked = None if adjust is None else adjustment(adjust)
    arranged = estimates.arranged(within_names(estimates, by))
    if level is not None:
        check_level("contrast", level)
        arranged = replace(arranged, level=float(level))
    ratios = _ratios(arranged)
    if interaction is True:  # as R's interaction = TRUE
        interaction = method
    default = "none"
    if interaction is None or interaction is False:
        plain = arranged.labels(plain=True)
        found = [coefficients(method, arranged.labels(), plain=plain, ref=ref, ratio=ratios)]
        taken = {a.name for a in arranged.inner}
        names = ["contrast" if "contrast" not in taken else "contrast1"]
        default = _DEFAULTS.get(found[0].kind, default)
    else:
        found = _factorwise(arranged, interaction, ref, ratios)
        names = [f"{a.name}_{c.kind}" for a, c in zip(arranged.primary, found, strict=True)]
    single = found[0] if len(found) == 1 else None
    used, notes = _allowed(asked or default, single)
    contrasts = _combined(arranged, found, names)
    if not contrasts.rows.size:
        raise OptionError(_nothing_occurs(arranged))
    pairs = None if single is None or single.kind not in _PAIRS else single.matrix
    title = _contrast_title(arranged, found)
    return judge_families(contrasts, 0.0, used, pairs=pairs, title=title, notes=notes)


def within_names(estimates: Estimates, by: Any) -> tuple[str, ...]:
    """The separating variables a call asks for; the estimates' own where it does not."""
    if by is None:
        return estimates.within
    names = (by,) if isinstance(by, str) else tuple(by)
    known = [a.name for a in estimates.axes]
    for name in names:
        if name not in known:
            raise OptionError(unknown_name("contrast", "by", name, known, "the table"))
    if len(set(names)) == len(known):
        raise OptionError("contrast: by names every variable of the table; nothing is left.")
    return names


def _ratios(estimates: Estimates) -> bool:
    scale = estimates.scale
    return estimates.response and scale is not None and scale.base is not None


def _nothing_occurs(estimates: Estimates) -> str:
    """The sentence for contrasts all of which need combinations that cannot occur."""
    said = " and ".join(f"{inner} is nested in {outer}" for inner, outer in estimates.nests)
    inner, outer = estimates.nests[0]
    return (
        f"contrast: each of these needs a combination of levels that cannot occur: {said}. Compare "
        f'{inner} within {outer}, by="{outer}".'
    )


def _factorwise(
    estimates: Estimates, interaction: Any, ref: Any, ratios: bool
) -> list[Coefficients]:
    """One kind of contrast for each variable that is compared."""
    axes = estimates.primary
    kinds = _kinds(interaction, [a.name for a in axes])
    return [
        coefficients(
            kind,
            _axis_labels(axis),
            plain=axis.labels,
            ref=ref if "ctrl" in str(kind) else None,
            ratio=ratios,
        )
        for kind, axis in zip(kinds, axes, strict=True)
    ]


def _kinds(interaction: Any, names: Sequence[str]) -> list[Any]:
    """The kind of contrast of each variable that is compared."""
    if isinstance(interaction, str):
        return [interaction] * len(names)
    if isinstance(interaction, Mapping):
        if set(interaction) == set(names):
            return [interaction[name] for name in names]
        given = ", ".join(str(name) for name in interaction)
    else:
        kinds = list(interaction) if isinstance(interaction, Sequence) else [interaction]
        if len(kinds) == len(names):
            return kinds
        given = str(len(kinds))
    raise OptionError(
        f"contrast: interaction has kinds of contrast for {given}, but what is compared is "
        f"{', '.join(names)}; give one for all, or one for each."
    )


def _axis_labels(axis: Axis) -> tuple[str, ...]:
    """Labels of one variable, bare numbers with its name."""
    return tuple(worded(axis, label) for label in axis.labels)


def _allowed(adjust: str, single: Coefficients | None) -> tuple[str, list[str]]:
    """The adjustment used, and a note: some are for one kind of family only."""
    kind = "" if single is None else single.kind
    if adjust == "tukey" and kind not in _PAIRS:
        return "sidak", ["tukey is for all pairs of estimates only: sidak is used instead."]
    if adjust == "dunnettx" and kind != "trt.vs.ctrl":
        return "sidak", ["dunnettx is for comparisons with a control only: sidak is used instead."]
    return adjust, []


def _combined(estimates: Estimates, found: Sequence[Coefficients], names: list[str]) -> Estimates:
    """The contrasts within every family, as estimates of their own."""
    C: Floats = np.ones((1, 1))
    for each in found:  # the first varies fastest
        C = _kron(each.matrix, C)
    families = math.prod(len(a) for a in estimates.inner)
    scale = estimates.scale
    ratio = scale is not None and scale.base is not None and all(c.differences for c in found)
    axes = [Axis(name, c.names) for name, c in zip(names, found, strict=True)]
    return replace(
        estimates,
        subject=f"contrasts of {estimates.subject}",
        functions=estimates.functions.combine(_kron(np.eye(families), C)),
        axes=(*axes, *estimates.inner),
        scale=scale.of_ratios() if ratio and scale is not None else None,
        response=estimates.response and ratio,
        notes=(*estimates.notes, *_contrast_scale_notes(estimates, ratio)),
    )


def _kron(a: Floats, b: Floats) -> Floats:
    return np.asarray(np.kron(a, b), dtype=np.float64)


def _contrast_scale_notes(estimates: Estimates, ratio: bool) -> list[str]:
    scale = estimates.scale
    if scale is None or ratio:
        return []
    if estimates.response:
        return [
            f"Contrasts are on the {scale.name} scale; for those of responses call .regrid() "
            "of the table first."
        ]
    return scale_notes(estimates)


def _contrast_title(estimates: Estimates, found: Sequence[Coefficients]) -> str:
    kinds = " by ".join(c.kind for c in found)
    title = title_of(estimates)
    text = f"{kinds} contrasts of {title[0].lower()}{title[1:]}"
    return text[0].upper() + text[1:]


def judge_families(
    estimates: Estimates,
    null: float,
    adjust: str,
    *,
    pairs: Floats | None = None,
    title: str = "",
    notes: Sequence[str] = (),
) -> EstimateTable:
    """The table of estimates with tests, adjusted within each family.

    ``pairs``: coefficients (c, k) of the pairs a family consists of, where it is one of pairs.
    """
    used = adjustment(adjust)
    if isinstance(null, bool) or not isinstance(null, int | float | np.number):
        raise OptionError(f"test: null must be one number, not {null!r}.")
    judged = estimates.judged()
    statistic, _ = wald(judged.value - null, judged.std_error, judged.df)
    p, half = (np.full(statistic.shape, np.nan) for _ in range(2))
    accuracy = 0.0
    sizes: set[int] = set()
    compared: set[int] = set()
    for rows in families_of(estimates):
        family = _family(estimates, rows, statistic, judged.df, pairs)
        result = adjusted(family, used, estimates.level)
        p[rows], half[rows] = result.p_value, result.half_width
        accuracy = max(accuracy, result.accuracy)
        if family.size:
            sizes.add(family.size)
            compared.add(family.compared)
    columns = {
        **label_columns(estimates),
        **shown(estimates, judged, half),
        "statistic": statistic[estimates.rows],
        "p_value": p[estimates.rows],
    }
    return EstimateTable(
        title=title or f"{title_of(estimates)}: tests that they are {_value(estimates, null)}",
        index=("",) * estimates.rows.size,
        columns=columns,
        notes=(
            *estimates.notes,
            *unestimable(estimates),
            *_ratio_notes(estimates, null),
            estimates.method.sentence,
            *notes,
            *_adjustment_notes(estimates, used, sizes, compared, accuracy),
        ),
        estimates=estimates,
    )


def _value(estimates: Estimates, null: float) -> str:
    scale = estimates.scale
    return f"{null:g}" if scale is None else f"{null:g} on the {scale.name} scale"


def families_of(estimates: Estimates) -> list[NDArray[np.intp]]:
    """Rows of each family: those that agree in the separating variables."""
    count = math.prod(len(a) for a in estimates.inner)
    return list(np.arange(len(estimates.functions)).reshape(count, -1))


def _family(
    estimates: Estimates,
    rows: NDArray[np.intp],
    statistic: Floats,
    df: Floats,
    pairs: Floats | None,
) -> Family:
    L = estimates.functions.L[rows]
    known = np.isfinite(statistic[rows])
    correlation = np.full((rows.size, rows.size), np.nan)
    covariance = L[known] @ estimates.method.covariance @ L[known].T
    size = np.sqrt(np.diag(covariance))
    unit = covariance / np.outer(size, size)
    correlation[np.ix_(known, known)] = unit
    # Of the correlations: coefficients of L may be as far apart as the units of its columns.
    rank = int(np.linalg.matrix_rank(unit, tol=_SINGULAR, hermitian=True)) if known.any() else 0
    # Estimates that stand in no pair which can be tested are not compared.
    compared = 0 if pairs is None else int(pairs[known].any(axis=0).sum())
    return Family(statistic[rows], df[rows], correlation, rank, compared)


def _ratio_notes(estimates: Estimates, null: float) -> list[str]:
    scale = estimates.scale
    if scale is None:
        return []
    if not estimates.response:
        return [f"Estimates are on the {scale.name} scale."]
    return [
        f"Estimates are on the scale of the {scale.what} (standard errors by the delta method); "
        f"tests are on the {scale.name} scale."
    ]


def _adjustment_notes(
    estimates: Estimates, adjust: str, sizes: set[int], compared: set[int], accuracy: float
) -> list[str]:
    level = f"Intervals have confidence level {estimates.level:g}"
    if adjust == "none" or max(sizes, default=0) <= 1:
        return [f"{level}, each for itself; p values are not adjusted."]
    family = f"{_range(sizes)} tests"
    if adjust == "tukey":
        family = f"comparing a family of {_range(compared)} estimates"
    exact = f", by quasi-Monte Carlo (relative error about {accuracy:.0e})" if accuracy else ""
    together = "Bonferroni's, " if adjust in STEPWISE else ""
    sentence = f"P value adjustment: {adjust} method for {family}{exact}. {level}, {together}"
    return [f"{sentence}simultaneous within a family."]


def _range(numbers: set[int]) -> str:
    first, last = min(numbers), max(numbers)
    return f"{last}" if first == last else f"{first} to {last}"
