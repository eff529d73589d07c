"""What a notebook shows: every table a user can print is also an HTML table."""

from __future__ import annotations

import mixeff as mx


def test_tables_show_themselves() -> None:
    sleep = mx.load_dataset("sleepstudy")
    m1 = mx.lmer("Reaction ~ Days + (Days | Subject)", sleep)
    m0 = mx.lmer("Reaction ~ 1 + (Days | Subject)", sleep)
    # the printed numbers of the same tables (lme4's, checked in tests/reference)
    shown = {
        "1743.6": m1.summary(),
        "36.838": m1,
        "Pr(&gt;Chisq)": mx.anova(m0, m1),
        "AIC": mx.aic(m0, m1),
        "5.922": m1.varcorr,
    }
    for text, table in shown.items():
        html = table._repr_html_()
        assert text in html
        assert html.count("<table") == html.count("</table>") >= 1
