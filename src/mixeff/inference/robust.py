"""Being built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixeff.errors import OptionError
from mixeff.inference.method import Method

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel


def robust_method(fit: MixedModel, kind: str, *, asymptotic: bool = False) -> Method:
    """The method of a fit."""
    raise OptionError("not available yet.")
