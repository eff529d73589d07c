"""The one small frozen options object of a fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mixeff.errors import OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """How a model is fitted; every field has a default that is right for ordinary use.

    Parameters
    ----------
    double_bar : {"independent", "lme4"}
        ``"independent"``: ``(f || g)`` makes every random-effect column independent, also for a
        factor ``f`` (one variance per level). ``"lme4"``: the textual splitting lme4 does, in which
        the levels of a factor stay correlated.
    laplace : {"observed", "expected"}
        Which second derivative enters the Laplace approximation of a generalized model.
    tolerance : float
        Stop when the predicted decrease of a Newton step, in deviance units, is below
        ``max(tolerance, 1e-13 * abs(deviance))``.
    max_evaluations : int
        Evaluations of the criterion allowed to one optimizer run.
    extra_starts : int
        Starts tried in addition when a term ended on the boundary of its parameter space.
    threads : int or None
        Threads the kernels may use; ``None`` takes the cores given to the process.
    progress : bool or None
        Show progress of long work; ``None`` shows it when a person watches.
    """

    double_bar: Literal["independent", "lme4"] = "independent"
    laplace: Literal["observed", "expected"] = "observed"
    tolerance: float = 1e-9
    max_evaluations: int = 500
    extra_starts: int = 2
    threads: int | None = None
    progress: bool | None = None

    def __post_init__(self) -> None:
        if self.double_bar not in ("independent", "lme4"):
            raise OptionError(
                f'double_bar must be "independent" or "lme4", not {self.double_bar!r}.'
            )
        if self.laplace not in ("observed", "expected"):
            raise OptionError(f'laplace must be "observed" or "expected", not {self.laplace!r}.')
        if not 0 < self.tolerance < 1:
            raise OptionError(f"tolerance must lie between 0 and 1, not {self.tolerance!r}.")
        if self.max_evaluations < 1:
            raise OptionError(f"max_evaluations must be at least 1, not {self.max_evaluations!r}.")
        if self.extra_starts < 0:
            raise OptionError(f"extra_starts must not be negative, not {self.extra_starts!r}.")
        if self.threads is not None and self.threads < 1:
            raise OptionError(f"threads must be at least 1 or None, not {self.threads!r}.")
