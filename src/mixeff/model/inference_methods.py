"""Tests, intervals and estimates of a fit: every method forwards to `mixeff.inference`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mixeff.inference.table import ResultTable
    from mixeff.model.mixed import MixedModel


class InferenceMethods:
    """The methods of a fitted model that test and estimate."""

    __slots__ = ()

    @property
    def _model(self) -> MixedModel:
        return cast("MixedModel", self)

    # --- F tests, contrasts (anova_table.py, hypotheses.py)

    def contrast(
        self,
        L: Any,
        rhs: float | Sequence[float] | NDArray[np.float64] = 0.0,
        *,
        ddf: str | None = "auto",
        vcov: str | None = None,
        joint: bool = False,
        level: float = 0.95,
        **unknown: Any,
    ) -> ResultTable:
        """Tests and intervals of linear functions of the coefficients, L beta = rhs.

        Parameters
        ----------
        L : array, text, dict, data frame, or a list of texts and dicts
            Numbers (p,) or (k, p) in the order of `fixef`; ``"IQ = 0"``, ``"a - 2 * b = 0.5"``
            (sums, differences, multiples of coefficient names); ``{"a": 1, "b": -2}``, names that
            are left out count as 0; a frame with coefficient names as columns. A dict of such rows
            gives them labels.
        rhs : float or (k,) array
            Hypothetical values of L beta.
        ddf : {"auto", "satterthwaite", "kenward-roger", "asymptotic"} or None
            Degrees of freedom; ``"auto"``: Satterthwaite's for a linear model, infinite ones for a
            generalized model. None: no p values.
        vcov : {None, "CR0", "CR1", "CR2"}
            The model's covariance of the coefficients, or a cluster-robust one.
        joint : bool
            One F test that all rows hold.
        level : float
            Of the intervals.

        Returns
        -------
        ResultTable
            ``estimate, std_error, df, statistic, p_value, lower, upper``, a row per row of L; with
            ``joint=True`` ``num_df, den_df, f_value, p_value``.

        Raises
        ------
        OptionError
            L has the wrong width, is zero, names an unknown coefficient, contradicts itself.

        Examples
        --------
        >>> import mixeff as mx
        >>> m = mx.lmer("Reaction ~ Days + (Days | Subject)", mx.load_dataset("sleepstudy"))
        >>> m.contrast("Days = 10").to_frame().round(3)["p_value"].tolist()
        [0.766]
        >>> m.contrast({"(Intercept)": 1, "Days": 9}).to_frame()["df"].round(2).tolist()
        [17.0]
        """
        from mixeff.inference.hypotheses import contrast
        from mixeff.model.options import refuse_unknown

        known = ("L", "rhs", "ddf", "vcov", "joint", "level")
        refuse_unknown("contrast", unknown, known)
        return contrast(self._model, L, rhs, ddf=ddf, vcov=vcov, joint=joint, level=level)

    # --- deletions and random terms (single_terms.py, random_terms.py)

    # --- profile likelihood (profile/)

    # --- bootstrap and permutation (bootstrap/, permutation.py)

    # --- marginal means and slopes (marginal_means.py, slopes.py)

    # --- robust covariance, information (robust.py, conditional_aic.py)
