"""A data frame that is a table of results too: it has a title, notes and ``to_frame()``."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mixeff.inference.table import ResultTable


class TableFrame(pd.DataFrame):
    """A pandas data frame that prints with the sentences that belong to it.

    What is computed from it (a row, a column, rounded values) is plain pandas.
    """

    _metadata = ["table"]  # noqa: RUF012  # how pandas keeps attributes of a subclass

    table: ResultTable | None = None

    @classmethod
    def of(cls, table: ResultTable) -> TableFrame:
        """The frame of a table, which it keeps for printing."""
        frame = cls(table.to_frame())
        frame.table = table
        return frame

    @property
    def _constructor(self) -> Any:
        return pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """The plain data frame, as other tables give it."""
        return pd.DataFrame(self)

    def _unchanged(self) -> ResultTable | None:
        """The table, unless somebody has written into the frame since."""
        if self.table is None or not self.to_frame().equals(self.table.to_frame()):
            return None
        return self.table

    def __repr__(self) -> str:
        table = self._unchanged()
        return super().__repr__() if table is None else str(table)

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        table = self._unchanged()
        return self.to_html() if table is None else table._repr_html_()
