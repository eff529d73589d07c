"""What the caller asked for, kept with the fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixeff.control import Control

if TYPE_CHECKING:
    from mixeff.formula.tree import ModelFormula
    from mixeff.generalized.families.family import Family


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """The arguments of one call of `lmer`, `glmer` or `glmer_nb`.

    Attributes
    ----------
    formula : str, as written (after ``update``: with the dots filled in)
    parsed : ModelFormula
    data : the caller's own object, not a copy
    data_name : str, what the caller calls it
    reml : bool
    weights, offset : column name, expression, array or None
    contrasts : mapping or None
    na_action : str
    start : starting theta or None
    control : Control
    response : (n,) array or None
        Set by ``refit``: the response that replaced the data's, on the rows used.
    family : Family or None
        Of a generalized model, with its link.
    n_agq : int
        Nodes of the quadrature of a generalized model.
    """

    formula: str
    parsed: ModelFormula
    data: Any = field(repr=False)
    data_name: str
    reml: bool
    weights: Any = None
    offset: Any = None
    contrasts: Mapping[str, Any] | None = None
    na_action: str = "omit"
    start: Any = None
    control: Control = field(default_factory=Control)
    response: NDArray[np.float64] | None = None
    family: Family | None = None
    n_agq: int = 1
