"""Being built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixeff.errors import OptionError
from mixeff.inference.method import Method

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel


def satterthwaite(fit: MixedModel) -> Method:
    """The method of a fit."""
    raise OptionError("not available yet.")
