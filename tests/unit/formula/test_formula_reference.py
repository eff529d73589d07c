"""Every formula of the reference cases: printed as lme4 prints it, groups and terms as R's."""

from __future__ import annotations

import re

import pytest

from mixeff.formula import parse_formula
from mixeff.formula.functions import FUNCTIONS, FunctionKind
from mixeff.formula.tree import Call
from support.reference import case_ids, load_case

KINDS = ("lmm", "glmm", "glmer.nb")
CASES = [case for kind in KINDS for case in case_ids(kind)]


@pytest.mark.parametrize("case", CASES)
def test_formula_line_of_the_summary(case: str) -> None:
    record = load_case(case)
    text = record.get("summary_text") or ""
    text = text if isinstance(text, str) else "\n".join(text)
    printed = re.search(r"^Formula:(.*?)(?=^ *(?:Data|Weights|Offset|Control):)", text, re.S | re.M)
    formula = parse_formula(record["formula"])
    if printed is None:
        assert "summary_text" not in record or not text
        return
    # R's cat(fill = TRUE) decides where the line ends, with one more blank before it.
    lines = [line.rstrip() for line in printed.group(1).strip().splitlines()]
    assert lines == [line.rstrip() for line in formula.display_lines]


@pytest.mark.parametrize("case", CASES)
def test_groups(case: str) -> None:
    record = load_case(case)
    labels = {part.group_label for part in parse_formula(record["formula"]).random}
    assert labels == set(record["ngroups"])


@pytest.mark.parametrize("case", case_ids("lmm"))
def test_terms_fit_the_coefficient_names(case: str) -> None:
    record = load_case(case)
    fixed = parse_formula(record["formula"]).fixed
    beta = [*record["beta"], *(record.get("dropped_columns") or [])]
    names = [name for name in beta if name != "(Intercept)"]
    assert fixed.intercept == ("(Intercept)" in beta)
    # A coefficient is named by the variables, each followed by a level or a number.
    patterns = [
        ":".join(re.escape(part) + "[^:]*" for part in term.label.split(":"))
        for term in fixed.terms
    ]
    for name in names:
        assert any(re.fullmatch(p, name) for p in patterns), name
    for pattern in patterns:
        assert any(re.fullmatch(pattern, name) for name in names), pattern


def test_functions_used_by_the_cases_are_known() -> None:
    for case in CASES:
        for term in parse_formula(load_case(case)["formula"]).fixed.terms:
            for variable in term.variables:
                if isinstance(variable, Call):
                    assert FUNCTIONS[variable.function].kind is not FunctionKind.VALUE
