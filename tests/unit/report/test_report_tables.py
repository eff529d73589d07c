"""AIC and BIC tables, variance components, heads of frames, and the HTML of all of them."""

from __future__ import annotations

import datetime
from html.parser import HTMLParser

import numpy as np
import pytest

from mixeff.errors import OptionError
from mixeff.inference.information import InformationTable
from mixeff.inference.likelihood_ratio import likelihood_ratio_table
from mixeff.model.varcorr import VarCorr, VarianceComponent
from mixeff.report.frames import format_head
from mixeff.report.html import anova_html, html_table, information_html, summary_html, varcorr_html
from mixeff.report.summarize import summarize
from mixeff.report.tables import format_information, format_varcorr
from support.printed import printed_fit
from support.reference import load_case, load_frame

# VarCorr(lmer(Reaction ~ Days + I(Days^2) + (Days + I(Days^2) | Subject), sleepstudy)) with the
# standard deviations and correlations set to these; print(v)
R_VARCORR = """\
 Groups   Name        Std.Dev. Corr         
 Subject  (Intercept) 24.740                
          Days         5.922   -0.004       
          I(Days^2)    1.234    0.100  0.200
 Residual             22.799                """  # noqa: W291


def three_effects() -> VarCorr:
    sd = np.array([24.74, 5.922, 1.234])
    correlation = np.array([[1, -0.004, 0.1], [-0.004, 1, 0.2], [0.1, 0.2, 1]])
    columns = ("(Intercept)", "Days", "I(Days^2)")
    covariance = correlation * np.outer(sd, sd)
    component = VarianceComponent("Subject", "Subject", columns, covariance, sd, correlation)
    return VarCorr((component,), 22.799)


def test_variance_components() -> None:
    assert format_varcorr(three_effects()) == R_VARCORR


def test_correlation_that_does_not_exist() -> None:
    # as above with attr(v$Subject, "correlation")[lower] <- c(NaN, NaN, .3): the cell is "  NaN",
    # as wide as the 1.000 of the diagonal, which lme4 formats with it
    nan = np.nan
    correlation = np.array([[nan, nan], [nan, 1.0]])
    component = VarianceComponent(
        "g", "g", ("(Intercept)", "x"), np.diag([0.0, 1.0]), np.array([0.0, 1.0]), correlation
    )
    lines = format_varcorr(VarCorr((component,), 1.0)).split("\n")
    assert lines[2] == "          x           1          NaN"


def test_no_residual_without_a_scale() -> None:
    text = format_varcorr(VarCorr(three_effects().components, None))
    assert "Residual" not in text


def test_information_table() -> None:
    # AIC(m1, m2) of two ML fits: 943.5393 and 936.8479 with 19 and 4 df; BIC(m2, m1)
    aic = InformationTable("aic", ("m1", "m2"), (19, 4), (943.53931, 936.84788))
    assert format_information(aic) == "   df      AIC\nm1 19 943.5393\nm2  4 936.8479"
    bic = InformationTable("bic", ("m2", "m1"), (4, 19), (951.66301, 1013.91106))
    assert format_information(bic) == "   df      BIC\nm2  4  951.663\nm1 19 1013.911"


# library(MASS); head(nlschools)
R_HEAD = """\
  lang   IQ class GS SES COMB
1   46 15.0   180 29  23    0
2   45 14.5   180 29  10    0
3   33  9.5   180 29  15    0
4   46 11.0   180 29  23    0
5   20  8.0   180 29  10    0
6   30  9.5   180 29  10    0"""


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "dict"])
def test_head_of_any_frame(kind: str) -> None:
    frame = load_frame("nlschools")
    if kind == "polars":
        frame = pytest.importorskip("polars").from_pandas(frame)
    elif kind == "pyarrow":
        frame = pytest.importorskip("pyarrow").Table.from_pandas(frame)
    elif kind == "dict":
        frame = {c: frame[c].tolist() for c in frame.columns}
    assert format_head(frame) == R_HEAD


def test_head_shows_what_a_model_could_not_use() -> None:
    # data.frame(a = c(1.5, NA, 1e-10), b = c("x", NA, "y"), c = c(TRUE, FALSE, TRUE),
    #            d = as.Date("2020-01-01"), n = c(100000L, 2L, 3L))
    frame = {
        "a": [1.5, float("nan"), 1e-10],
        "b": ["x", None, "y"],
        "c": [True, False, True],
        "d": [datetime.date(2020, 1, 1)] * 3,
        "n": [100000, 2, 3],
    }
    assert format_head(frame).split("\n") == [
        "        a    b     c          d      n",
        "1 1.5e+00    x  TRUE 2020-01-01 100000",
        "2      NA <NA> FALSE 2020-01-01      2",
        "3 1.0e-10    y  TRUE 2020-01-01      3",
    ]


def test_head_of_some_rows() -> None:
    # head(nlschools, 2)
    assert format_head(load_frame("nlschools"), 2) == "\n".join(R_HEAD.split("\n")[:3])
    with pytest.raises(OptionError, match="positive whole number"):
        format_head({"x": [1]}, 0)


class Texts(HTMLParser):
    """Collects texts, and checks that every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def texts_of(html: str) -> list[str]:
    parser = Texts()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return [t for t in parser.texts if t]


def test_summary_as_html_has_the_printed_numbers() -> None:
    texts = texts_of(summary_html(summarize(printed_fit(load_case("nlschools_m4_ml")))))
    # rows of the case's summary_text
    row = texts.index("COMB1")
    assert texts[row + 1 : row + 4] == ["\u22121.505766", "0.583091", "\u22122.582"]
    for text in ("15123.8", "54.359", "7.3729", "\u22120.95", "\u22124.0142", "\u22120.584"):
        assert text in texts


def test_summary_html_tells_remarks_and_notes() -> None:
    singular = texts_of(summary_html(summarize(printed_fit(load_case("early_p")))))
    assert any(t.startswith("boundary (singular) fit: ") for t in singular)
    many = texts_of(summary_html(summarize(printed_fit(load_case("cake_split")))))
    assert any("p = 18 > 12" in t for t in many)
    weighted = texts_of(summary_html(summarize(printed_fit(load_case("sleepstudy_weights")))))
    assert "Weights: w" in weighted


def test_comparison_as_html() -> None:
    case = load_case("nlschools_anova_m3_m1")
    names = case["anova"]["rows"]
    table = likelihood_ratio_table(
        names=names,
        formulas=[case["models"][n] for n in names],
        npar=[case["df"][n] for n in names],
        loglik=[case["logLik"][n] for n in names],
        nobs=2287,
        data_name="nlschools",
        notes=["refitted"],
    )
    texts = texts_of(anova_html(table))
    assert {"825.09", "< 2.2e-16", "***", "15956", "\u22127971.9", "refitted"} <= set(texts)


def test_other_tables_as_html() -> None:
    table = InformationTable("bic", ("<m>", "m1"), (6, 7), (15964.718, 15146.86), ("a & b",))
    html = information_html(table)
    assert "&lt;m&gt;" in html
    assert "a &amp; b" in html
    assert "15964.72" in texts_of(html)
    assert "\u22120.004" in texts_of(varcorr_html(three_effects()))


def test_html_table_escapes_and_aligns() -> None:
    html = html_table(["<a>", "b"], [["x & y", "-1.5"]], caption='"c"')
    assert "<a>" not in html
    assert texts_of(html) == ['"c"', "<a>", "b", "x & y", "\u22121.5"]
    assert '<td class="label">x &amp; y</td><td>\u22121.5</td>' in html
