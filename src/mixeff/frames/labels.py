"""Level labels made only when someone reads them: a fit with 100,000 groups needs their number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload


class LazyLevels(Sequence[str]):
    """Level labels that behave as the tuple of them, made at the first look at any.

    Length, and what rests on it, costs nothing. Equality and hash are those of the tuple; copies
    and pickles are plain tuples.

    Parameters
    ----------
    count : int
        Number of levels.
    make : callable without arguments
        Gives the labels, ``count`` of them; called at most once.

    Examples
    --------
    >>> levels = LazyLevels(3, lambda: ("a", "b", "c"))
    >>> len(levels), levels[-1], levels == ("a", "b", "c")
    (3, 'c', True)
    """

    __slots__ = ("_count", "_labels", "_make")

    def __init__(self, count: int, make: Callable[[], Sequence[str]]) -> None:
        self._count = count
        self._make: Callable[[], Sequence[str]] | None = make
        self._labels: tuple[str, ...] | None = None

    def all(self) -> tuple[str, ...]:
        """The labels as a tuple."""
        labels, make = self._labels, self._make
        # Two threads may both make them: they make the same.
        if labels is None:
            assert make is not None
            labels = self._labels = tuple(make())
            assert len(labels) == self._count
            self._make = None  # whatever it holds of the caller's data can go
        return labels

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...
    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        return self.all()[place]

    def __iter__(self) -> Iterator[str]:
        return iter(self.all())

    def __contains__(self, label: object) -> bool:
        return label in self.all()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, LazyLevels):
            return self._count == other._count and self.all() == other.all()
        if isinstance(other, tuple):
            return self._count == len(other) and self.all() == other
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.all())

    def __add__(self, other: Sequence[str]) -> tuple[str, ...]:
        return self.all() + tuple(other)

    def __repr__(self) -> str:
        return repr(self.all())

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (self.all(),)


Levels = tuple[str, ...] | LazyLevels
