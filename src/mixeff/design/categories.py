"""Functions of a formula that make, change or count categories; they remember training levels."""

from __future__ import annotations

import numpy as np

from mixeff.design import cutting, factors
from mixeff.design.calls import Evaluated, Learnt, Result
from mixeff.design.values import Categorical, Floats, Numeric, present_only, recode
from mixeff.errors import DataError, FormulaError, PredictionError


def factor(call: Evaluated) -> Result:
    """``factor(x, levels =, labels =)`` and ``ordered(x, ...)``."""
    levels, labels = call.items("levels"), call.items("labels")
    if call.items("exclude"):
        raise FormulaError(f"'{call.text}': list the levels to keep as levels=, without exclude=")
    ordered: bool | None = True if call.call.function == "ordered" else None
    if ordered is None and call.constant("ordered") is not None:
        ordered = call.flag("ordered", False)
    value = call.value()
    source = factors.labelled(value, call.text)
    if levels is not None:
        whole = isinstance(value, Numeric) and value.integer
        chosen = [factors.label(item, whole=whole) for item in levels if item == item]
    elif call.learnt is not None:
        chosen = list(recode(present_only(source), call.learnt[0]).levels)
        if labels is not None and len(chosen) > len(call.learnt[0]):
            raise PredictionError(
                f"'{call.text}' has no label for {chosen[-1]!r}, which is not in the training data"
            )
    else:
        chosen = list(factors.present_levels(source))
    names = None if labels is None else [factors.label(item) for item in labels]
    result = factors.factor(value, chosen, names, ordered, call.text)
    return result, (tuple(chosen),)


def as_factor(call: Evaluated) -> Result:
    """``as.factor(x)``."""
    return _remember(call, factors.as_factor(call.value(), call.text))


def as_character(call: Evaluated) -> Result:
    """``as.character(x)``."""
    return _remember(call, factors.as_character(call.value(), call.text))


def relevel(call: Evaluated) -> Result:
    """``relevel(f, ref =)``; a number as ``ref`` counts the levels, as in R."""
    value = call.value()
    reference = call.constant("ref")
    if isinstance(reference, float) and isinstance(value, Categorical):
        place = call.count("ref") or 0
        if not 1 <= place <= len(value.levels):
            raise DataError(f"'{call.text}': there are only {len(value.levels)} levels")
        reference = value.levels[place - 1]
    if not isinstance(reference, str) and isinstance(value, Categorical):
        raise FormulaError(f"'{call.text}': 'ref' must be one level, as text in quotes")
    return _remember(call, factors.relevel(value, str(reference), call.text))


def interaction(call: Evaluated) -> Result:
    """``interaction(a, b, ..., drop =, sep =, lex.order =)``."""
    parts = [
        factors.as_factor(value, call.text) for _, value in call.several("sep", "drop", "lex.order")
    ]
    separator = call.constant("sep", ".")
    if not isinstance(separator, str):
        raise FormulaError(f"'{call.text}': 'sep' must be text in quotes")
    drop, lexical = call.flag("drop", False), call.flag("lex.order", False)
    return _remember(call, factors.interaction(parts, separator, drop=drop, lexical=lexical))


def _remember(call: Evaluated, value: Categorical) -> Result:
    """Levels of the training data first; the caller sees levels beyond them at the end."""
    if call.learnt is not None:
        return recode(present_only(value), call.learnt[0]), call.learnt
    return value, (tuple(value.levels),)


def as_number(call: Evaluated) -> Result:
    """``as.numeric(x)``, ``as.integer(x)``: the codes of a factor as in the training data."""
    convert = factors.as_integer if call.call.function == "as.integer" else factors.as_number
    value = call.value()
    learnt: Learnt | None = None
    if isinstance(value, Categorical) and not value.text and not value.logical:
        learnt = call.learnt if call.learnt is not None else (tuple(value.levels),)
        value = recode(present_only(value), learnt[0])
        unseen = value.levels[len(learnt[0]) :]
        if unseen:
            raise PredictionError(
                f"'{call.text}' numbers the levels of a factor, and {unseen[0]!r} is not among "
                "those of the training data"
            )
    return convert(value, call.text), learnt


def cut(call: Evaluated) -> Result:
    """``cut(x, breaks, labels, include.lowest, right, dig.lab, ordered_result)``."""
    x = call.vector().values
    breaks = _breaks(call, x)
    right, lowest = call.flag("right", True), call.flag("include.lowest", False)
    codes = cutting.interval_codes(x, breaks, right=right, include_lowest=lowest)
    # breaks given as a vector stand in the formula; only computed ones need remembering
    computed = len(call.numbers("breaks") or ()) == 1
    learnt: Learnt | None = (tuple(breaks.tolist()),) if computed else None
    labels = call.constant("labels")
    if labels is False:
        return codes, learnt
    digits = call.count("dig.lab")
    names = cutting.interval_labels(
        breaks, right=right, include_lowest=lowest, digits=3 if digits is None else digits
    )
    if labels is not None and labels is not True:
        names = tuple(factors.label(item) for item in call.items("labels") or ())
        if len(names) != len(breaks) - 1:
            raise DataError(
                f"'{call.text}' gives {len(names)} labels for {len(breaks) - 1} intervals"
            )
    ordered = call.flag("ordered_result", False)
    return cutting.as_categories(codes, names, ordered), learnt


def _breaks(call: Evaluated, x: Floats) -> Floats:
    if call.learnt is not None:
        return np.array(call.learnt[0])
    breaks = call.numbers("breaks")
    if breaks is None:
        raise FormulaError(f"'{call.text}' lacks its argument 'breaks'")
    if len(breaks) == 1:
        return cutting.even_breaks(x, call.count("breaks") or 0, call.text)
    return cutting.sorted_breaks(breaks, call.text)
