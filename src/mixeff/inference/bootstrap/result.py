"""The draws of a bootstrap, with intervals and a summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.errors import OptionError
from mixeff.inference.bootstrap.intervals import METHODS, accelerated
from mixeff.inference.bootstrap.tally import outcome_notes
from mixeff.inference.table import ResultTable
from mixeff.model.options import check_level, choose, refuse_unknown

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_SENTENCES = {
    "percentile": "Percentile intervals: quantiles of the draws.",
    "basic": "Basic intervals: quantiles of the draws reflected at the estimate.",
    "normal": "Normal intervals: estimate less bias, -/+ normal quantile times standard error.",
    "shortest": "Shortest intervals that hold the level's share of the draws.",
    "bias-corrected": "Bias-corrected percentile intervals (BC).",
    "bca": "Bias-corrected and accelerated intervals (BCa), acceleration by leaving out clusters.",
}
INTERVALS = tuple(_SENTENCES)


@dataclass(frozen=True, slots=True, eq=False)
class Bootstrap:
    """Draws of statistics of a fit; made by ``m.bootstrap()``.

    Attributes
    ----------
    names : tuple of k str
        The parameters, named as in ``m.confint()``, or what ``statistic`` gave.
    draws : (nsim, k) array
        NaN where a replicate failed, and in a correlation with a standard deviation of zero.
    estimate : (k,) array, the statistics of the fit itself
    kind : {"parametric", "semiparametric", "case"}
    scheme : str, a sentence: what was drawn or resampled
    entropy : int, which makes the same draws again, given as ``seed=``
    failed, singular, unconverged : (nsim,) boolean arrays
        Replicates without estimates; with a singular fit; with estimates whose optimality
        conditions do not hold. The last two are kept.
    messages : mapping from what was said about replicates to how many it was said of
    acceleration : (k,) array or None, for BCa intervals
    """

    names: tuple[str, ...]
    draws: Floats
    estimate: Floats
    kind: str
    scheme: str
    entropy: int
    failed: Flags
    singular: Flags
    unconverged: Flags
    messages: Mapping[str, int] = field(default_factory=dict)
    acceleration: Floats | None = None

    def __len__(self) -> int:
        return int(self.draws.shape[0])

    @property
    def notes(self) -> tuple[str, ...]:
        """What was drawn, and what became of the replicates, in sentences."""
        outcomes = outcome_notes(self.failed, self.unconverged, self.singular, self.messages)
        notes = [self.scheme, *outcomes]
        undefined = np.isnan(self.draws[~self.failed]).sum(axis=0)
        notes += [
            f"{name} does not exist in {times} replicates; it is judged by the others."
            for name, times in zip(self.names, undefined.tolist(), strict=True)
            if times
        ]
        return tuple(notes)

    @property
    def summary(self) -> ResultTable:
        """``estimate, bias, std_error``: bias is mean of the draws minus estimate."""
        bias, error = np.full((2, len(self.names)), np.nan)
        for j in range(len(self.names)):
            known = self._known(j)
            if known.size > 1:
                bias[j], error[j] = known.mean() - self.estimate[j], known.std(ddof=1)
        return ResultTable(
            f"Bootstrap ({self.kind}), {len(self)} replicates",
            self.names,
            {"estimate": self.estimate, "bias": bias, "std_error": error},
            self.notes,
        )

    def confint(
        self, level: float = 0.95, method: str = "percentile", **unknown: Any
    ) -> ResultTable:
        """Confidence intervals: columns ``lower, upper``.

        Parameters
        ----------
        level : float
            Between 0 and 1.
        method : {"percentile", "basic", "normal", "shortest", "bias-corrected", "bca"}
            Quantiles of the draws (those of R's ``boot.ci``); reflected at the estimate; normal
            with bias and standard error of the draws; the narrowest interval that holds
            ``ceil(level nsim)`` draws (as MixedModels.jl); quantiles corrected for median bias;
            these accelerated too, after ``kind="case"`` only.

        Raises
        ------
        OptionError
            Level outside (0, 1), no such method, or no acceleration for BCa.

        Examples
        --------
        >>> import mixeff as mx
        >>> m = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
        >>> table = m.bootstrap(200, seed=1).confint(0.9, method="shortest")
        >>> table.to_frame().shape
        (6, 2)
        """
        refuse_unknown("confint", unknown, ("level", "method"))
        level = check_level("confint", level)
        method = choose("confint", "method", method, INTERVALS)
        bounds = np.full((len(self.names), 2), np.nan)
        for j in range(len(self.names)):
            known = self._known(j)
            if known.size > 1 and np.isfinite(self.estimate[j]):
                bounds[j] = self._interval(known, j, level, method)
        notes = [_SENTENCES[method], *self.notes, *self._limits(bounds, level, method)]
        return ResultTable(
            f"{100 * level:g} % bootstrap confidence intervals ({method}), {len(self)} replicates",
            self.names,
            {"lower": bounds[:, 0], "upper": bounds[:, 1]},
            tuple(notes),
        )

    def to_frame(self) -> pd.DataFrame:
        """The draws, a row per replicate (failed ones NaN), a column per statistic."""
        import pandas as pd

        return pd.DataFrame(self.draws, columns=list(self.names))

    def to_arviz(self) -> Any:
        """The draws for ArviZ, as a DataTree or InferenceData; see `mixeff.interop.arviz`."""
        from mixeff.interop.arviz import bootstrap_to_arviz

        return bootstrap_to_arviz(self)

    def __str__(self) -> str:
        return str(self.summary)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.summary._repr_html_()

    def _known(self, j: int) -> Floats:
        column = self.draws[:, j]
        return np.asarray(column[~np.isnan(column)])

    def _interval(self, known: Floats, j: int, level: float, method: str) -> tuple[float, float]:
        estimate = float(self.estimate[j])
        if method != "bca":
            return METHODS[method](known, estimate, level)
        if self.acceleration is None:
            raise OptionError(
                'confint: "bca" needs the acceleration, which m.bootstrap(kind="case") estimates '
                f"by leaving out clusters (at most nsim of them); this bootstrap, {self.kind}, "
                'has none. Use "bias-corrected".'
            )
        return accelerated(known, estimate, level, float(self.acceleration[j]))

    def _limits(self, bounds: Floats, level: float, method: str) -> list[str]:
        """What a reader should not trust."""
        notes = []
        good = int((~self.failed).sum())
        if method not in ("normal", "shortest") and (good + 1) * (1 - level) / 2 < 1:
            notes.append(
                f"{good} draws are too few for {100 * level:g} % intervals: bounds are the extreme "
                "draws."
            )
        one_sided = [n for n, b in zip(self.names, bounds, strict=True) if np.isnan(b).any()]
        if one_sided:
            notes.append(f"No interval for {', '.join(one_sided)} by this method.")
        return notes
