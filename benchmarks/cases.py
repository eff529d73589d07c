"""The models that are timed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """One model on one of the packaged data sets.

    ``statsmodels`` gives the arguments of its MixedLM where it can fit the same model at all:
    (formula, groups, re_formula).
    """

    name: str
    dataset: str
    formula: str
    statsmodels: tuple[str, str, str] | None = None


CASES = (
    Case(
        "sleepstudy",
        "sleepstudy",
        "Reaction ~ Days + (Days | Subject)",
        ("Reaction ~ Days", "Subject", "~Days"),
    ),
    Case(
        "nlschools",
        "nlschools",
        "lang ~ IQ + GS + SES + COMB + (1 | class)",
        ("lang ~ IQ + GS + SES + COMB", "class", "1"),
    ),
    Case("Penicillin", "Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)"),
    Case("Chem97", "Chem97", "score ~ gcsecnt + gender + age + (1 | lea/school)"),
    Case("InstEval", "InstEval", "y ~ service + (1 | s) + (1 | d) + (1 | dept)"),
)
