"""Tables as self-contained HTML: escaped text, a few lines of style, no scripts, no links."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from mixeff.report.coefmat import coefficient_cells
from mixeff.report.correlation import correlation_cells
from mixeff.report.numbers import format_column, format_number, round_decimals, stars_of, zap_small
from mixeff.report.pieces import CRITERIA
from mixeff.report.summary import DIGITS, QUANTILES
from mixeff.report.tables import (
    ANOVA_COLUMNS,
    ANOVA_DIGITS,
    CHISQ,
    VARCORR_DIGITS,
    anova_values,
    information_cells,
)
from mixeff.report.variances import variance_cells

if TYPE_CHECKING:
    from mixeff.inference.information import InformationTable
    from mixeff.inference.likelihood_ratio import LikelihoodRatioTable
    from mixeff.model.varcorr import VarCorr
    from mixeff.report.summary import SummaryTable

STYLE = """<style>
.mixeff {font-family: system-ui, sans-serif; font-size: 0.9em; line-height: 1.4}
.mixeff table {border-collapse: collapse; margin: 0.3em 0 0.9em; width: auto}
.mixeff caption {text-align: left; font-weight: 600; padding: 0.2em 0; caption-side: top}
.mixeff th, .mixeff td {padding: 0.15em 0.7em; border: 0; text-align: right;
  font-variant-numeric: tabular-nums; white-space: nowrap; background: none}
.mixeff thead th {border-bottom: 1px solid currentColor; font-weight: 600}
.mixeff th.label, .mixeff td.label {text-align: left; font-weight: 400}
.mixeff p {margin: 0.2em 0}
.mixeff .quiet {opacity: 0.75}
.mixeff code {font-size: 0.95em; background: none}
</style>"""

MINUS = "\u2212"


def page_part(*parts: str) -> str:
    """The parts in one styled block."""
    return "\n".join([STYLE, '<div class="mixeff">', *(p for p in parts if p), "</div>"])


def paragraph(text: str, *, quiet: bool = False) -> str:
    """One escaped paragraph."""
    return f"<p{' class=quiet' if quiet else ''}>{escape(text)}</p>"


def html_table(
    headings: Sequence[str],
    cells: Sequence[Sequence[str]],
    *,
    caption: str = "",
    labels: int = 1,
) -> str:
    """A table of texts.

    Parameters
    ----------
    headings : sequence of k str
    cells : sequence of rows of k str; blanks around a text are dropped
    caption : str
    labels : int
        The first so many columns are labels, aligned on the left.
    """
    head = "".join(_cell("th", h, j < labels, ' scope="col"') for j, h in enumerate(headings))
    body = "\n".join(
        "<tr>" + "".join(_cell("td", c, j < labels) for j, c in enumerate(row)) + "</tr>"
        for row in cells
    )
    title = f"<caption>{escape(caption)}</caption>\n" if caption else ""
    return f"<table>\n{title}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _cell(tag: str, text: str, label: bool, attributes: str = "") -> str:
    shown = text.strip()
    if not label and shown[:1] == "-" and shown[1:2].isdigit():
        shown = MINUS + shown[1:]
    kind = ' class="label"' if label else ""
    return f"<{tag}{kind}{attributes}>{escape(shown)}</{tag}>"


def with_labels(labels: Sequence[str], cells: Sequence[Sequence[str]]) -> list[list[str]]:
    """A label before every row."""
    return [[label, *row] for label, row in zip(labels, cells, strict=True)]


def summary_html(summary: SummaryTable) -> str:
    """The summary of a fit for a notebook."""
    formula = " ".join(line.strip() for line in summary.formula)
    groups = "; ".join(f"{name}, {count}" for name, count in summary.ngroups)
    remarks = [*summary.warnings, *summary.footer, *summary.remarks]
    return page_part(
        f"<p><strong>{escape(summary.title.rpartition('[')[0].strip())}</strong></p>",
        f"<p><code>{escape(formula)}</code>, data <code>{escape(summary.data_name)}</code></p>",
        paragraph(f"Family: {summary.family}") if summary.family else "",
        paragraph(_arguments(summary)) if _arguments(summary) else "",
        _criteria(summary),
        _quantiles(summary),
        _variances(summary.varcorr, DIGITS, True, "Random effects"),
        paragraph(f"Number of obs: {summary.nobs}, groups: {groups}"),
        _coefficients(summary) if summary.names else "",
        _correlations(summary),
        *(paragraph(text) for text in remarks),
        paragraph(summary.note, quiet=True) if summary.note else "",
    )


def _arguments(summary: SummaryTable) -> str:
    named = (("Weights", summary.weights), ("Offset", summary.offset))
    return ", ".join(f"{name}: {text}" for name, text in named if text is not None)


def _criteria(summary: SummaryTable) -> str:
    if summary.reml_criterion is not None:
        value = format_number(round_decimals([summary.reml_criterion], 1)[0])
        return paragraph(f"REML criterion at convergence: {value}")
    values = format_column(round_decimals(summary.likelihoods, 1), pad=False)
    return html_table(CRITERIA, [[*values, str(summary.df_residual)]], labels=0)


def _quantiles(summary: SummaryTable) -> str:
    values = format_column(zap_small(summary.residual_quantiles, DIGITS + 1), DIGITS)
    return html_table(QUANTILES, [values], caption="Scaled residuals", labels=0)


def _variances(varcorr: VarCorr, digits: int, variances: bool, caption: str) -> str:
    headings, cells = variance_cells(varcorr, digits=digits, variances=variances)
    return html_table(headings, cells, caption=caption, labels=2)


def _coefficients(summary: SummaryTable) -> str:
    headings, values = summary.coefficient_matrix()
    test, tested = headings.index(f"{summary.test} value"), summary.p_value is not None
    cells = coefficient_cells(
        values,
        digits=DIGITS,
        estimates=range(test),
        tests=(test,),
        p_value=tested,
    )
    rows = with_labels(summary.names, cells)
    return html_table(["", *headings], rows, caption="Fixed effects")


def _correlations(summary: SummaryTable) -> str:
    if summary.correlation is None:
        return ""
    p = len(summary.names)
    cells = correlation_cells(summary.correlation)
    lower = [[cells[i][j] if j < i else "" for j in range(p - 1)] for i in range(1, p)]
    rows = with_labels(summary.names[1:], lower)
    caption = "Correlation of fixed effects"
    return html_table(["", *summary.names[:-1]], rows, caption=caption)


def anova_html(table: LikelihoodRatioTable) -> str:
    """Likelihood-ratio tests for a notebook."""
    values = anova_values(table)
    cells = coefficient_cells(
        values,
        digits=ANOVA_DIGITS,
        tests=(CHISQ,),
        zap=range(CHISQ),
        p_value=True,
        missing="",
    )
    rows = [
        [name, *row, stars_of(p)]
        for name, row, p in zip(table.names, cells, values[:, -1], strict=True)
    ]
    models = "<br>\n".join(
        f"{escape(n)}: <code>{escape(f)}</code>"
        for n, f in zip(table.names, table.formulas, strict=True)
    )
    return page_part(
        f"<p>Data: <code>{escape(table.data_name)}</code></p>",
        f"<p>{models}</p>",
        html_table(["", *ANOVA_COLUMNS, ""], rows),
        *(paragraph(note, quiet=True) for note in table.notes),
    )


def information_html(table: InformationTable) -> str:
    """AIC or BIC of several models for a notebook."""
    headings, cells = information_cells(table)
    rows = with_labels(table.names, cells)
    notes = (paragraph(note, quiet=True) for note in table.notes)
    return page_part(html_table(["", *headings], rows), *notes)


def varcorr_html(varcorr: VarCorr) -> str:
    """Variance components for a notebook."""
    return page_part(_variances(varcorr, VARCORR_DIGITS, False, ""))
