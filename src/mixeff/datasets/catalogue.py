"""What the packed data sets are: title, source, licence, citation, a note on every column."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

from mixeff.datasets.stored import StoredColumn, read_stored
from mixeff.errors import OptionError


@dataclass(frozen=True, slots=True)
class Description:
    """What is known about one data set; ``print`` shows it.

    Attributes
    ----------
    name, title, source, licence, citation : str
    n_rows : int
    columns : dict
        Column name -> (type as in R: ``numeric``, ``integer``, ``factor with 3 levels`` ...,
        meaning and unit).
    """

    name: str
    title: str
    source: str
    licence: str
    citation: str
    n_rows: int
    columns: dict[str, tuple[str, str]]

    def __str__(self) -> str:
        width = max(len(column) for column in self.columns)
        lines = [_fill(f"{self.name}: {self.title}", 4), "", f"{self.n_rows} rows"]
        for column, (kind, note) in self.columns.items():
            lines.append(_fill(f"  {column:<{width}}  {note} [{kind}]", width + 4))
        lines += ["", f"Source:   {self.source}", f"Licence:  {self.licence}"]
        lines.append(_fill(f"Citation: {self.citation}", 10))
        return "\n".join(lines)


def _fill(text: str, hang: int) -> str:
    return textwrap.fill(text, 80, subsequent_indent=" " * hang, break_on_hyphens=False)


@cache
def _catalogue() -> dict[str, dict[str, Any]]:
    text = files("mixeff.datasets").joinpath("catalogue.json").read_text(encoding="utf-8")
    entries: dict[str, dict[str, Any]] = json.loads(text)
    return entries


def list_datasets() -> dict[str, str]:
    """Every data set and its title.

    Returns
    -------
    dict
        Name -> title.

    Examples
    --------
    >>> from mixeff import datasets
    >>> datasets.list_datasets()["Rail"]
    'Travel time of ultrasonic waves in six railway rails'
    """
    return {name: entry["title"] for name, entry in _catalogue().items()}


def describe_dataset(name: str) -> Description:
    """Source, licence, citation and columns of one data set.

    Parameters
    ----------
    name : str
        One of :func:`list_datasets`.

    Returns
    -------
    Description

    Raises
    ------
    OptionError
        No set has that name; the message names the nearest ones.

    Examples
    --------
    >>> from mixeff import datasets
    >>> datasets.describe_dataset("Rail").licence
    'GPL (>= 2)'
    """
    check_name(name)
    entry = _catalogue()[name]
    columns = read_stored(name)
    notes = {c.name: (_kind(c), entry["columns"][c.name]) for c in columns}
    return Description(
        name,
        entry["title"],
        entry["source"],
        entry["licence"],
        entry["citation"],
        len(columns[0].values),
        notes,
    )


def check_name(name: str) -> None:
    """Raise OptionError with the nearest names unless ``name`` is in the catalogue."""
    known = _catalogue()
    if isinstance(name, str) and name in known:
        return
    lower = {k.lower(): k for k in known}
    near = [lower[k] for k in get_close_matches(str(name).lower(), lower, n=3, cutoff=0.5)]
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise OptionError(
        f"There is no data set {name!r}. {hint}mixeff.datasets.list_datasets() names them all."
    )


def _kind(column: StoredColumn) -> str:
    if not column.is_factor:
        return column.type
    what = "ordered factor" if column.type == "ordered" else "factor"
    return f"{what}, {len(column.levels)} levels"
