"""What was computed of a fit and is kept with it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Remembered:
    """Results by name, computed once: a fit never changes. Deep copies and pickles start empty.

    Only what is small beside the fit belongs here, and nobody writes to what is found.

    Examples
    --------
    >>> from mixeff.model.remembered import Remembered
    >>> kept = Remembered()
    >>> kept.get("two", lambda: 2), kept.get("two", lambda: 3)
    (2, 2)
    """

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[Hashable, Any] = {}

    def get(self, name: Hashable, make: Callable[[], T]) -> T:
        """The result ``name``; ``make`` computes it the first time. What fails is not kept."""
        if name in self._found:
            return self._found[name]  # type: ignore[no-any-return]
        # Two threads may both make it: they make the same, and both get the first.
        return self._found.setdefault(name, make())  # type: ignore[no-any-return]

    def __reduce__(self) -> tuple[Any, ...]:
        return Remembered, ()
