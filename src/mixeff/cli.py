"""The command line: ``mixeff tutorial``, ``mixeff fit``, ``mixeff datasets``."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from mixeff.errors import DataError, MixeffError, MixeffWarning, OptionError

if TYPE_CHECKING:
    from mixeff.model.mixed import MixedModel

DEFAULT_FOLDER = "mixeff-tutorial"
# As a shell reports a program that ended by SIGPIPE.
READER_GONE = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        What stands after ``mixeff``; default the process's own.

    Returns
    -------
    int
        0 done; 1 the data, the formula or a file is at fault (a sentence on stderr says how); 2 the
        command itself is wrong or asks for what this version does not do.
    """
    options = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("always", MixeffWarning)
        warnings.showwarning = _show_warning
        try:
            code = int(options.run(options))
            # Now, not at exit, where a reader that has gone could not be told from a fault.
            sys.stdout.flush()
            return code
        except BrokenPipeError:
            return _reader_gone()
        except MixeffError as error:
            print(f"mixeff: {error}", file=sys.stderr)
            return 1
        except OSError as error:
            print(f"mixeff: {_os_sentence(error)}", file=sys.stderr)
            return 1


def _reader_gone() -> int:
    """The reader of our output has read enough (``mixeff datasets | head``): stop quietly."""
    # What is still buffered must not be tried again at exit, which would print a traceback.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return READER_GONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mixeff",
        description="Linear and generalized linear mixed models in R's formula language.",
    )
    parser.add_argument("--version", action="version", version=f"mixeff {_version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_tutorial(commands)
    _add_fit(commands)
    listing = commands.add_parser(
        "datasets", help="list the data sets, or describe one", description="The data sets inside."
    )
    listing.add_argument("name", nargs="?", help="describe this one")
    listing.set_defaults(run=_datasets)
    return parser


def _add_tutorial(commands: Any) -> None:
    tutorial = commands.add_parser(
        "tutorial",
        help="a whole analysis, in text and pictures",
        description="Run a whole analysis of the nlschools data: print it, and write it as "
        "tutorial.md and tutorial.txt with its pictures.",
    )
    tutorial.add_argument(
        "--out",
        type=Path,
        default=Path(DEFAULT_FOLDER),
        metavar="DIR",
        help=f"folder for the files (default: {DEFAULT_FOLDER})",
    )
    tutorial.set_defaults(run=_tutorial)


def _add_fit(commands: Any) -> None:
    fit = commands.add_parser(
        "fit",
        help="fit a mixed model to a CSV or Parquet file",
        description="Fit a linear or generalized linear mixed model and print its summary. In a "
        "CSV file the text NA and an empty cell are missing values; text columns are factors.",
    )
    fit.add_argument("file", type=Path, metavar="FILE", help="a .csv, .csv.gz or .parquet file")
    fit.add_argument("formula", metavar="FORMULA", help='for example "y ~ x + (1 | group)"')
    fit.add_argument("--ml", action="store_true", help="maximum likelihood instead of REML")
    fit.add_argument(
        "--family",
        default="gaussian",
        help="gaussian (the default), binomial, poisson, Gamma, inverse.gaussian, nbinom2",
    )
    fit.add_argument("--link", help="another link than the family's own: probit, log ...")
    fit.add_argument(
        "--n-agq", type=int, default=1, metavar="N", help="nodes of the quadrature (1: Laplace)"
    )
    fit.add_argument("--weights", metavar="COLUMN", help="prior weights: a column or expression")
    fit.add_argument("--offset", metavar="COLUMN", help="an offset: a column or expression")
    fit.add_argument("--data-name", metavar="NAME", help="name to print for the data")
    fit.set_defaults(run=_fit)


def _version() -> str:
    import mixeff

    return mixeff.__version__


def _tutorial(options: argparse.Namespace) -> int:
    from mixeff.tutorial.write import as_text, run_tutorial, write_tutorial

    pictures = _has_matplotlib()
    pieces = run_tutorial(pictures=pictures)
    print(as_text(pieces))
    written = write_tutorial(pieces, options.out)
    print(f"Written to {options.out}: {', '.join(path.name for path in written)}")
    if not pictures:
        print(
            "The pictures need matplotlib, which is not installed: pip install matplotlib, "
            "then run this command again.",
            file=sys.stderr,
        )
    return 0


def _has_matplotlib() -> bool:
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


def _fit(options: argparse.Namespace) -> int:
    linear = options.family == "gaussian" and options.link in (None, "identity")
    fit = _fit_linear(options) if linear else _fit_generalized(options)
    print(fit.summary())
    print()
    print(fit.convergence)
    return 0


def _fit_linear(options: argparse.Namespace) -> MixedModel:
    from mixeff import lmer

    # No variable here may hold the frame: the summary would print that variable's name.
    return lmer(
        options.formula,
        _named_table(options.file, options.data_name),
        reml=not options.ml,
        weights=options.weights,
        offset=options.offset,
    )


def _fit_generalized(options: argparse.Namespace) -> MixedModel:
    from mixeff import glmer

    return glmer(
        options.formula,
        _named_table(options.file, options.data_name),
        options.family,
        link=options.link,
        n_agq=options.n_agq,
        weights=options.weights,
        offset=options.offset,
    )


def _named_table(path: Path, name: str | None) -> Any:
    frame = read_table(path)
    frame.attrs["mixeff_name"] = name or path.name.split(".")[0]
    return frame


def read_table(path: Path) -> Any:
    """Read a CSV or Parquet file into a pandas frame.

    Raises
    ------
    DataError
        The file's name says neither CSV nor Parquet, or its content is not what the name says.
    OptionError
        The library that reads it is not installed.
    """
    name = path.name.lower()
    if name.endswith((".csv", ".csv.gz")):
        return _read(path, "csv")
    if name.endswith((".parquet", ".pq")):
        return _read(path, "parquet")
    raise DataError(f"{path} is neither a .csv, .csv.gz nor a .parquet file.")


def _read(path: Path, kind: str) -> Any:
    if path.is_dir():
        raise DataError(f"{path} is a folder, not a file.")
    if not path.exists():
        raise DataError(f"there is no file {path}.")
    try:
        import pandas as pd
    except ImportError as error:
        raise OptionError(
            "reading a file needs pandas, which is not installed: pip install pandas."
        ) from error
    try:
        if kind == "parquet":
            return pd.read_parquet(path)
        # As R: only NA and nothing at all are missing; a level may be called None or null.
        return pd.read_csv(path, keep_default_na=False, na_values=["NA", ""])
    except ImportError as error:
        raise OptionError(
            "reading Parquet needs pyarrow, which is not installed: pip install pyarrow."
        ) from error
    except ValueError as error:  # pandas' and Arrow's parser errors and undecodable text
        raise DataError(f"{path} cannot be read as {kind}: {error}") from error


def _datasets(options: argparse.Namespace) -> int:
    from mixeff.datasets import describe_dataset, list_datasets

    if options.name is not None:
        print(describe_dataset(options.name))
        return 0
    titles = list_datasets()
    width = max(map(len, titles))
    for name, title in titles.items():
        print(f"{name:<{width}}  {title}")
    return 0


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if issubclass(category, MixeffWarning):
        print(f"mixeff: warning: {message}", file=sys.stderr)


def _os_sentence(error: OSError) -> str:
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}."


if __name__ == "__main__":
    sys.exit(main())
