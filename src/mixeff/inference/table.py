"""The form every table of tests, intervals and estimates has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Column = NDArray[Any] | tuple[str, ...]
Role = Literal["label", "estimate", "statistic", "number", "p_value"]

# What a column holds decides how it is printed: estimates share their decimals, statistics get
# few, p values get stars.
ROLES: dict[str, Role] = {
    "estimate": "estimate",
    "std_error": "estimate",
    "lower": "estimate",
    "upper": "estimate",
    "statistic": "statistic",
    "f_value": "statistic",
    "chisq": "statistic",
    "lrt": "statistic",
    "p_value": "p_value",
    "p_boundary": "p_value",
    "delta": "statistic",
    "weight": "p_value",
}


@dataclass(frozen=True, slots=True)
class ResultTable:
    """Columns of equal length with a title above and notes below.

    Attributes
    ----------
    title : str
        One line: what the table is and by which method.
    index : tuple of str
        Row labels; empty texts where columns of labels identify the rows.
    columns : mapping from name to (m,) array, or to a tuple of str for a column of labels
        Numbers are NaN where there is no value.
    notes : tuple of str
        Method, degrees of freedom and assumption, a sentence each, and what limits the result.
    """

    title: str
    index: tuple[str, ...]
    columns: Mapping[str, Column] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """The columns by name, row labels in the index (0, 1, ... where rows have no labels)."""
        import pandas as pd

        data = {
            k: list(v) if isinstance(v, tuple) else np.asarray(v) for k, v in self.columns.items()
        }
        labelled = any(self.index)
        return pd.DataFrame(data, index=list(self.index) if labelled else range(len(self.index)))

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The values of all columns, row by row."""
        return np.array(self.to_frame().to_numpy(), dtype=dtype)

    if not TYPE_CHECKING:  # a type checker should know the fields, not every method of a frame

        def __getattr__(self, name: str) -> Any:
            """What a data frame can do (``.loc``, ``.round`` ...), done by ``to_frame()``."""
            if name.startswith("_"):
                raise AttributeError(name)
            return getattr(self.to_frame(), name)

    def __len__(self) -> int:
        return len(self.index)

    def __str__(self) -> str:
        from mixeff.report.results import format_result

        return format_result(self)

    def _repr_html_(self) -> str:
        from mixeff.report.results import result_html

        return result_html(self)

    def __repr__(self) -> str:
        return str(self)


def role_of(name: str, column: Column) -> Role:
    """How a column is printed."""
    if isinstance(column, tuple) or np.asarray(column).dtype.kind in "OUS":
        return "label"
    return ROLES.get(name, "number")
