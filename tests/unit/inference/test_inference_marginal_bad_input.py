"""What marginal means, contrasts and slopes refuse, and the sentence they say."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import mixeff as mx


@cache
def fit() -> Any:
    return mx.lmer("lang ~ IQ * COMB + log(GS) + (1 | class)", mx.load_dataset("nlschools"))


def means(**options: Any) -> Any:
    return fit().marginal_means("COMB", ddf="asymptotic", **options)


CASES: list[tuple[Callable[[], Any], str]] = [
    (lambda: fit().marginal_means("comb"), 'not in the fixed effects. Did you mean "COMB"'),
    (lambda: fit().marginal_means("class"), "'class' is a random grouping factor"),
    (lambda: fit().marginal_means("COMB", "COMB"), "'COMB' is named twice"),
    (lambda: fit().marginal_means("pairwise ~ COMB"), r'.contrast\("pairwise"\)'),
    (lambda: fit().marginal_means(3), "name the variables"),
    (lambda: means(at={"COMB": "2"}), 'the level "2", which the rows of the fit do not have'),
    (lambda: means(at={"IQ": ["low"]}), "IQ is numeric; give numbers"),
    (lambda: means(at={"IQ": []}), "is empty; give at least one value"),
    (lambda: means(at={"iq": 1}), "at names 'iq'.*Did you mean \"IQ\""),
    (lambda: means(at=[1]), "at names variables and their values"),
    (lambda: means(at={"IQ": range(200_000)}), "more than 100000. Fix some"),
    (lambda: means(weights="same"), "weights must be one of"),
    (lambda: means(type="mean"), 'type must be one of "link", "response"'),
    (lambda: means(level=95), "level must lie between 0 and 1, not 95"),
    (lambda: means(offset="x"), "offset must be one number"),
    (lambda: means(weight="equal"), 'no argument "weight". Did you mean "weights"'),
    (lambda: means().contrast("pairwize"), 'Did you mean "pairwise"'),
    (lambda: means().contrast(adjust="tuckey"), 'Did you mean "tukey"'),
    (lambda: means().contrast([1, 0, -1]), r"3 coefficients for 2 estimates \(COMB0, COMB1\)"),
    (lambda: means().contrast([[1, -1], [1]]), "1 coefficient for 2 estimates"),
    (lambda: means().contrast({"a": "b"}), "'b' are no coefficients; give a named method"),
    (lambda: means().contrast([]), "no coefficients; give a named method"),
    (lambda: means().contrast({"a": {"0": 1, "2": -1}}), "'2' is none of the estimates"),
    (lambda: means().contrast({"a": [1, float("nan")]}), "finite numbers"),
    (lambda: means().contrast("trt.vs.ctrl", ref="2"), "give one of COMB0, COMB1"),
    (lambda: means().contrast("pairwise", ref="1"), 'ref is for "trt.vs.ctrl"'),
    (lambda: means().contrast(by="IQ"), "which is not in the table"),
    (lambda: means().contrast(by="COMB"), "nothing is left"),
    (lambda: means().contrast(interaction=["poly", "eff"]), "kinds of contrast for 2, but what is"),
    (lambda: means().contrast(interaction={"IQ": "poly"}), "for IQ, but what is compared is COMB"),
    (lambda: means().test("a"), "null must be one number, not 'a'"),
    (lambda: means().test([0, 1]), "null must be one number"),
    (lambda: means().test(nul=1), 'Did you mean "null"'),
    (lambda: means().letters(reverse="yes"), "reverse must be True or False, not 'yes'"),
    (lambda: means().letters(alfa=0.1), 'Did you mean "alpha"'),
    (lambda: means().joint_tests(bye="a"), 'Did you mean "by"'),
    (lambda: fit().joint_tests(["IQ", "COMB", "GS"]), "no variable to test besides those of by"),
    (lambda: fit().marginal_means(np.arange(99)), "not a value of type ndarray"),
    (lambda: means(at={"class": "1"}), "'class' is a random grouping factor"),
    (lambda: means(at={"COMB": ["0", "0"]}), r'at\["COMB"\] has 0 twice'),
    (lambda: means(at={"IQ": [1, 2, 1.0]}), r'at\["IQ"\] has 1 twice'),
    (lambda: fit().contrast("IQ", level="a"), "level must lie between 0 and 1, not 'a'"),
    (lambda: means().contrast(adjusted="none"), 'Did you mean "adjust"'),
    (lambda: means().letters(5), "alpha must lie between 0 and 1"),
    (lambda: means().regrid(), "on the scale of the response already"),
    (lambda: fit().marginal_means("IQ").contrast(), "one estimate only"),
    (lambda: fit().slopes("COMB"), "COMB is a factor; slopes are of numeric variables"),
    (lambda: fit().slopes("class"), "'class' is a random grouping factor"),
    (lambda: fit().slopes("Iq"), 'Did you mean "IQ"'),
    (lambda: fit().slopes(["IQ"]), r"\['IQ'\]"),
    (lambda: fit().joint_tests("GSS"), 'Did you mean "GS"'),
]


@pytest.mark.parametrize(("call", "sentence"), CASES, ids=range(len(CASES)))
def test_refused(call: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(mx.OptionError, match=sentence):
        call()


def test_forms_of_coefficients_and_interactions() -> None:
    pairs = means().contrast("pairwise")
    for given in ({"0": 1, "1": -1}, {"x": {"COMB0": 1, "COMB1": -1}}, np.array([[1.0, -1.0]])):
        table = means().contrast(given)
        np.testing.assert_array_equal(table["estimate"], pairs["estimate"])
    both = fit().marginal_means(["COMB", "IQ"], at={"IQ": [1.0, 2.0, 4.0]}, ddf="asymptotic")
    want = both.contrast(interaction=["pairwise", "poly"])
    named = both.contrast(interaction={"IQ": "poly", "COMB": "pairwise"})
    np.testing.assert_array_equal(named["estimate"], want["estimate"])
    same = both.contrast("consecutive", interaction=True)
    np.testing.assert_array_equal(
        same["estimate"], both.contrast(interaction="consecutive")["estimate"]
    )


def test_values_outside_of_the_data_are_said() -> None:
    table = means(at={"IQ": [4.0, 60.0], "GS": 20})
    note = next(note for note in table.notes if "outside of the data" in note)
    assert note.startswith("60 of IQ lies outside of the data (")
    assert not any("outside" in note for note in means(at={"IQ": [4.0, 18.0]}).notes)


def test_outside_the_domain_of_a_logarithm() -> None:
    with pytest.raises(mx.DataError, match=r"log\(GS\)"):
        means(at={"GS": -1})


def test_at_the_edge_of_the_domain() -> None:
    # log(0) is infinite, not refused by the formula; a derivative needs neighbours
    with pytest.raises(mx.OptionError, match=r"not finite at IQ = .*, GS = 0"):
        means(at={"GS": [10, 0]})
    with pytest.raises(mx.OptionError, match=r"log\(GS\) has no derivative in GS"):
        fit().slopes("GS", at={"GS": 1e-9})


def test_slope_in_categories() -> None:
    model = mx.lmer("lang ~ factor(GS) + (1 | class)", mx.load_dataset("nlschools"))
    with pytest.raises(mx.OptionError, match="makes categories of GS"):
        model.slopes("GS")


def test_levels_of_a_number_made_a_factor() -> None:
    model = mx.lmer("lang ~ factor(GS) + (1 | class)", mx.load_dataset("nlschools"))
    with pytest.raises(mx.OptionError, match="rows of the fit do not have"):
        model.marginal_means("GS", at={"GS": 26.5})


def test_two_numbers_made_a_factor() -> None:
    data = mx.load_dataset("nlschools").query("GS in (20, 30)")
    model = mx.lmer("lang ~ factor(GS) + (1 | class)", data)
    with pytest.raises(mx.OptionError, match=r'has the level "25".*Levels: 20, 30'):
        model.marginal_means("GS", at={"GS": 25})
    between = mx.lmer("lang ~ GS + (1 | class)", data).marginal_means("GS", at={"GS": 25})
    assert between["GS"][0] == 25


def test_data_that_changed_after_the_fit() -> None:
    frame = mx.load_dataset("nlschools")
    data = {name: frame[name].to_numpy().copy() for name in ("lang", "IQ", "COMB", "class")}
    model = mx.lmer("lang ~ log(IQ) + COMB + (1 | class)", data)
    before = model.marginal_means("COMB", ddf="asymptotic")["estimate"]
    data["IQ"] *= 100
    for call in (lambda: model.marginal_means("COMB"), lambda: model.slopes("IQ")):
        with pytest.raises(mx.DataError, match="data have changed since the fit"):
            call()
    data["IQ"] /= 100
    np.testing.assert_allclose(
        model.marginal_means("COMB", ddf="asymptotic")["estimate"], before, rtol=1e-12
    )
    data |= {name: values[5:] for name, values in data.items()}
    with pytest.raises(mx.DataError, match="data have changed since the fit"):
        model.joint_tests()


def test_nothing_to_test() -> None:
    model = mx.lmer("lang ~ 1 + (1 | class)", mx.load_dataset("nlschools"))
    with pytest.raises(mx.OptionError, match="no variable to test"):
        model.joint_tests()
