"""Every error and warning mixeff raises on purpose: one base each, one branch per stage.

An error says what was wrong, where, and what to do. Each branch is also the builtin exception a
user would reach for (``ValueError``, ``KeyError`` ...), so ``except ValueError`` keeps working.
"""

from __future__ import annotations


class MixeffError(Exception):
    """Base of every error mixeff raises on purpose."""

    def __str__(self) -> str:
        # KeyError would print the repr of its argument; a sentence must stay a sentence.
        return str(self.args[0]) if self.args else ""


class FormulaError(MixeffError, ValueError):
    """The formula cannot be read; the message carries the formula with a caret under the token."""


class DataError(MixeffError, ValueError):
    """The data cannot be used: type, missing values, infinities, length."""


class UnknownColumnError(DataError, KeyError):
    """The formula (or an argument) names a column the data does not have."""


class DesignError(MixeffError, ValueError):
    """Formula and data together do not make an estimable model."""


class OptionError(MixeffError, ValueError, TypeError):
    """An argument of a public function is misspelt, of the wrong type, or out of range."""


class ConvergenceError(MixeffError, RuntimeError):
    """No optimum satisfying the optimality conditions was found."""


class ComparisonError(MixeffError, ValueError):
    """The models given cannot be compared with each other."""


class PredictionError(MixeffError, ValueError):
    """New data cannot be scored with this model."""


class MixeffWarning(UserWarning):
    """Base of every warning mixeff gives."""


class DataWarning(MixeffWarning):
    """Something in the data a user would want to know (a zero weight, infinite predictor...)."""


class DesignWarning(MixeffWarning):
    """A column was dropped, a grouping factor is suspicious, scales differ wildly..."""


class ConvergenceWarning(MixeffWarning):
    """The fit is returned, but its optimality conditions do not hold."""


class ComparisonWarning(MixeffWarning):
    """The comparison is made, but is not what a reader may take it for."""
