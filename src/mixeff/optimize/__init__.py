"""Optimizers behind one small protocol, and the verdict on what they found."""

from __future__ import annotations

from mixeff.optimize.problem import Evaluation, Problem
from mixeff.optimize.solve import Optimum, solve
from mixeff.optimize.verdict import SingularDirection, Verdict

__all__ = ["Evaluation", "Optimum", "Problem", "SingularDirection", "Verdict", "solve"]
