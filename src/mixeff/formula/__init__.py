"""Text to a model formula: R's formula language, without data and without numbers."""

from __future__ import annotations

from mixeff.formula.deparse import deparse, deparse_lines, quote_name
from mixeff.formula.functions import (
    CONSTANTS,
    FUNCTIONS,
    FunctionSpec,
    lookup,
    match_arguments,
)
from mixeff.formula.parser import depends_on_columns, expand_dot, parse_formula
from mixeff.formula.syntax import parse_expression
from mixeff.formula.terms import expand_terms
from mixeff.formula.tree import ModelFormula, RandomPart
from mixeff.formula.variables import variables_of

__all__ = [
    "CONSTANTS",
    "FUNCTIONS",
    "FunctionSpec",
    "ModelFormula",
    "RandomPart",
    "deparse",
    "deparse_lines",
    "depends_on_columns",
    "expand_dot",
    "expand_terms",
    "lookup",
    "match_arguments",
    "parse_expression",
    "parse_formula",
    "quote_name",
    "variables_of",
]
