"""Lines that the summary and the short print of a fit share."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from mixeff.report.layout import LINE_WIDTH, display_width, named_vector
from mixeff.report.numbers import format_column, format_number

CRITERIA = ("AIC", "BIC", "logLik", "deviance", "df.resid")


def filled(items: Sequence[str], width: int = LINE_WIDTH) -> list[str]:
    """Items with a blank after each, a new line before one that would pass the width."""
    lines = [""]
    for item in items:
        if lines[-1] and display_width(lines[-1]) + display_width(item) + 1 > width:
            lines.append("")
        lines[-1] += item + " "
    lines[-1] = lines[-1][:-1]
    return lines


def title(is_reml: bool, class_name: str) -> str:
    """``Linear mixed model fit by REML ['LinearMixedModel']``."""
    method = "REML" if is_reml else "maximum likelihood "
    return f"Linear mixed model fit by {method} ['{class_name}']"


def tested_title(is_reml: bool, class_name: str, tests: str) -> str:
    """The title of a summary with p values: which method they come from, broken as R breaks it."""
    method = "REML" if is_reml else "maximum likelihood "
    text = f"Linear mixed model fit by {method}. {tests}"
    if display_width(text) + 5 + display_width(class_name) <= LINE_WIDTH:
        return f"{text} ['{class_name}']"
    wrapped = textwrap.wrap(text, LINE_WIDTH - 3, subsequent_indent="  ", break_on_hyphens=False)
    lines = [""]
    for item in [*wrapped, " [", class_name, "]"]:
        if lines[-1] and display_width(lines[-1]) + display_width(item) > LINE_WIDTH:
            lines.append("")
        lines[-1] += item
    return "\n".join(lines)


def generalized_title(n_agq: int, class_name: str) -> str:
    """``Generalized linear mixed model fit by maximum likelihood (Laplace ...)``, in two lines."""
    method = (
        "Laplace Approximation"
        if n_agq == 1
        else f"Adaptive Gauss-Hermite Quadrature, nAGQ = {n_agq}"
    )
    text = f"Generalized linear mixed model fit by maximum likelihood ({method})"
    wrapped = textwrap.wrap(text, LINE_WIDTH - 3, subsequent_indent="  ", break_on_hyphens=False)
    return "\n".join(wrapped) + f" [{class_name}]"


def call_lines(
    formula: Sequence[str],
    data_name: str,
    weights: str | None,
    offset: str | None,
    family: str | None = None,
) -> list[str]:
    """Family, formula, data, weights, offset."""
    lines = [] if family is None else [f" Family: {family}"]
    lines += filled(["Formula:", *formula])
    lines.append(f"   Data: {data_name}")
    if weights is not None:
        lines.append(f"Weights: {weights}")
    if offset is not None:
        lines.append(f" Offset: {offset}")
    return lines


def criteria_lines(likelihoods: Sequence[float], df_residual: int) -> list[str]:
    """AIC, BIC, log-likelihood, deviance formatted together, residual degrees of freedom alone."""
    return named_vector(CRITERIA, [*format_column(likelihoods), format_number(df_residual)])


def group_lines(nobs: int, ngroups: Mapping[str, int] | Sequence[tuple[str, int]]) -> list[str]:
    """``Number of obs: 180, groups:  Subject, 18``."""
    pairs = ngroups.items() if isinstance(ngroups, Mapping) else ngroups
    counts = "; ".join(f"{name}, {count}" for name, count in pairs)
    return filled([f"Number of obs: {nobs}, groups: ", counts])


def warning_lines(warnings: Sequence[str]) -> list[str]:
    """The lines under ``fit warnings:``, none without warnings."""
    return ["fit warnings:", *warnings] if warnings else []


def remark_lines(remarks: Sequence[str]) -> list[str]:
    """Sentences about the fit, an empty line before each, broken at the width."""
    lines: list[str] = []
    for sentence in remarks:
        lines += ["", *textwrap.wrap(sentence, LINE_WIDTH - 1, break_on_hyphens=False)]
    return lines
