"""Frames of every other library: what narwhals reads, then the Arrow C stream protocol."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mixeff.errors import DataError
from mixeff.frames.columns import Column, Frame, Opened, open_frame, unknown_column


def open_foreign(data: Any) -> Frame | None:
    """A reader for any other data frame, or None if the object is none.

    narwhals comes first, since it asks a lazy frame (a duckdb relation, say) for the columns used
    only; a bare Arrow stream sends them all.
    """
    stream = hasattr(data, "__arrow_c_stream__")
    narwhals = _optional("narwhals")
    if narwhals is not None:
        wrapped = narwhals.from_native(data, pass_through=True)
        if isinstance(wrapped, narwhals.DataFrame | narwhals.LazyFrame):
            return NarwhalsFrame(wrapped)
    if not stream:
        return None
    if _optional("pyarrow") is None and _optional("polars") is None:
        raise DataError(
            "data is an Arrow stream; reading one needs pyarrow or polars: pip install pyarrow."
        )
    return _from_stream(data)


def _optional(module: str) -> Any:
    """The module if it is installed, else None."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        return None


def _from_stream(data: Any) -> Frame | None:
    """An Arrow C stream, read by pyarrow or else by polars; a stream can be read once only."""
    arrow = _optional("pyarrow")
    if arrow is not None:
        try:
            reader = arrow.RecordBatchReader.from_stream(data)
        except (TypeError, arrow.ArrowInvalid):
            return None  # a stream of single values: a column, not a frame
        return StreamFrame(reader, {})
    polars = _optional("polars")
    if polars is not None:
        return open_frame(polars.DataFrame(data))
    return None


@dataclass(frozen=True, slots=True)
class StreamFrame(Opened):
    """A stream of record batches: kept are only the columns asked for."""

    reader: Any
    kept: dict[str, Any]

    def names(self) -> tuple[str, ...]:
        """All column names."""
        return tuple(self.reader.schema.names)

    def n_rows(self) -> int:
        """Number of rows; known once the columns have been read."""
        if "table" not in self.kept:
            self._consume(list(self.names()))
        return int(self.kept["table"].num_rows)

    def read(self, names: Iterable[str]) -> dict[str, Column]:
        """Drain the stream, keeping the named columns only."""
        wanted = list(dict.fromkeys(names))
        known = self.names()
        for name in wanted:
            if name not in known:
                raise unknown_column(name, known)
        if "table" not in self.kept:
            self._consume(wanted)
        missing = [name for name in wanted if name not in self.kept["table"].schema.names]
        if missing:
            raise DataError(
                f"the Arrow stream was read once without column {missing[0]!r} and cannot be "
                "read again; read it into a table first, e.g. pyarrow.table(data)."
            )
        return open_frame(self.kept["table"]).read(wanted)

    def _consume(self, names: list[str]) -> None:
        import pyarrow as pa

        places = [i for i, name in enumerate(self.names()) if name in names]
        fields = [self.reader.schema.field(i) for i in places]
        batches = [
            pa.RecordBatch.from_arrays([batch.column(i) for i in places], schema=pa.schema(fields))
            for batch in self.reader
        ]
        self.kept["table"] = pa.Table.from_batches(batches, schema=pa.schema(fields))


@dataclass(frozen=True, slots=True)
class NarwhalsFrame(Opened):
    """Any frame narwhals wraps; a lazy one collects the named columns only."""

    data: Any

    def names(self) -> tuple[str, ...]:
        """All column names."""
        return tuple(self.data.collect_schema().names())

    def n_rows(self) -> int:
        """Number of rows."""
        frame = self.data.select(self.names()[:1])
        return len(frame.collect() if hasattr(frame, "collect") else frame)

    def read(self, names: Iterable[str]) -> dict[str, Column]:
        """The named columns, through the frame narwhals holds or an Arrow copy of them."""
        wanted = list(dict.fromkeys(names))
        known = self.names()
        for name in wanted:
            if name not in known:
                raise unknown_column(name, known)
        selected = self.data.select(wanted)
        eager = selected.collect() if hasattr(selected, "collect") else selected
        native = eager.to_native()
        if type(native).__module__.split(".")[0] in {"pandas", "polars", "pyarrow"}:
            return open_frame(native).read(wanted)
        return open_frame(eager.to_arrow()).read(wanted)
