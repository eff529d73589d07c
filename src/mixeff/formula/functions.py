"""The closed list of functions a formula may call: names, arguments, kinds; no numbers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mixeff.errors import FormulaError
from mixeff.formula.problems import either, formula_error, nearest
from mixeff.formula.tree import Argument, Call, Expression

#: Names that may stand for a value instead of a column (see ``variables_of``).
CONSTANTS = frozenset(
    {"pi", "TRUE", "FALSE", "T", "F", "NULL", "Inf", "NaN", "NA", "NA_integer_", "NA_real_",
     "NA_character_"}
)  # fmt: skip
#: Constants that are reserved words of R: never a column unless the column's name is quoted.
RESERVED_CONSTANTS = CONSTANTS - {"pi", "T", "F"}


class FunctionKind(Enum):
    """What a function makes of its columns."""

    ELEMENTWISE = "elementwise"  # a number per row from numbers of that row
    FACTOR = "factor"  # a factor
    BASIS = "basis"  # several columns, with a training state
    SCALING = "scaling"  # one column, with a training state
    IDENTITY = "identity"  # I()
    OFFSET = "offset"
    BIND = "bind"  # cbind()
    VALUE = "value"  # c(), seq(): only as the value of an argument


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a function: its name and whether it must be given."""

    name: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """A callable function.

    Attributes
    ----------
    name : str
    kind : FunctionKind
    parameters : tuple of Parameter
        In R's order.
    dots_at : int or None
        Index in ``parameters`` at which R's ``...`` stands: parameters from there on are matched
        by their full name only, and other arguments are collected as ``...1``, ``...2``.
    columns : int
        How many leading parameters are data (the others are options).
    """

    name: str
    kind: FunctionKind
    parameters: tuple[Parameter, ...]
    dots_at: int | None = None
    columns: int = 1

    @property
    def signature(self) -> str:
        """For messages: ``bs(x, df, knots, degree, intercept, Boundary.knots)``."""
        names = [p.name for p in self.parameters]
        # The `...` of poly() would be further variables, which are not available.
        if self.dots_at is not None and self.name != "poly":
            names.insert(self.dots_at, "...")
        return f"{self.name}({', '.join(names)})"


def _spec(
    name: str,
    kind: FunctionKind,
    required: str,
    optional: str = "",
    *,
    dots: bool = False,
) -> FunctionSpec:
    """``dots``: R's ``...`` stands after the required arguments."""
    needed = tuple(Parameter(n, required=True) for n in required.split())
    given = tuple(Parameter(n) for n in optional.split())
    return FunctionSpec(name, kind, needed + given, len(needed) if dots else None)


_K = FunctionKind
_ELEMENTWISE = (
    "log2 log10 log1p exp expm1 sqrt abs sign sin cos tan asin acos atan sinh cosh tanh floor "
    "ceiling"
)
_SPECS = (
    *(_spec(name, _K.ELEMENTWISE, "x") for name in _ELEMENTWISE.split()),
    _spec("log", _K.ELEMENTWISE, "x", "base"),
    _spec("round", _K.ELEMENTWISE, "x", "digits"),
    _spec("as.integer", _K.ELEMENTWISE, "x"),
    _spec("as.numeric", _K.ELEMENTWISE, "x"),
    _spec("pmin", _K.ELEMENTWISE, "", "na.rm", dots=True),
    _spec("pmax", _K.ELEMENTWISE, "", "na.rm", dots=True),
    _spec("I", _K.IDENTITY, "x"),
    _spec("factor", _K.FACTOR, "x", "levels labels exclude ordered"),
    _spec("ordered", _K.FACTOR, "x", "levels labels"),
    _spec("as.factor", _K.FACTOR, "x"),
    _spec("as.character", _K.FACTOR, "x"),
    _spec("interaction", _K.FACTOR, "", "drop sep lex.order", dots=True),
    _spec(
        "cut", _K.FACTOR, "x breaks",
        "labels include.lowest right dig.lab ordered_result",
    ),
    _spec("relevel", _K.FACTOR, "x ref"),
    _spec("poly", _K.BASIS, "x", "degree raw", dots=True),
    _spec("bs", _K.BASIS, "x", "df knots degree intercept Boundary.knots"),
    _spec("ns", _K.BASIS, "x", "df knots intercept Boundary.knots"),
    _spec("scale", _K.SCALING, "x", "center scale"),
    _spec("center", _K.SCALING, "x"),
    _spec("offset", _K.OFFSET, "object"),
    _spec("cbind", _K.BIND, "", "deparse.level", dots=True),
    _spec("c", _K.VALUE, "", "", dots=True),
    _spec("seq", _K.VALUE, "from to", "by length.out"),
)  # fmt: skip

#: Every function a formula may call, by name.
FUNCTIONS: dict[str, FunctionSpec] = {spec.name: spec for spec in _SPECS}

# What users of other tools (and of R) write, and what to write here.
_ADVICE = {
    "C": "For a factor write `factor(x)`; contrasts are chosen with the argument `contrasts=`.",
    "Q": "A column with an unusual name is written in backquotes, `` `my column` ``.",
    "center_scale": "Write `scale(x)`.",
    "standardize": "Write `scale(x)`.",
    "zscore": "Write `scale(x)`.",
    "ln": "Write `log(x)`.",
    "pow": "Write `I(x^2)`.",
    "square": "Write `I(x^2)`.",
    "categorical": "Write `factor(x)`.",
    "as.ordered": "Write `ordered(x)`.",
    "as.double": "Write `as.numeric(x)`.",
    "as.logical": "Make the column before fitting and name it in the formula.",
    "ifelse": "Make the column before fitting, or write a comparison inside `I()`: `I(x > 2)`.",
    "s": "Smooth terms are not available; `ns(x, df = 4)` and `bs(x, df = 4)` are splines.",
    "te": "Smooth terms are not available; `ns(x, df = 4)` and `bs(x, df = 4)` are splines.",
    "cr": "Write `ns(x, df = 4)` for a natural cubic spline.",
    "lag": "Make the column before fitting and name it in the formula.",
    "mo": "Monotonic effects are not available; `ordered(x)` gives polynomial contrasts.",
    "dummy": 'Write a comparison inside `I()`: `I(x == "level")`.',
}


def lookup(name: str) -> FunctionSpec:
    """The function of this name.

    Parameters
    ----------
    name : str
        As written in the formula, ``poly``.

    Returns
    -------
    FunctionSpec

    Raises
    ------
    FormulaError
        No such function; the message names the nearest ones.

    Examples
    --------
    >>> lookup("bs").signature
    'bs(x, df, knots, degree, intercept, Boundary.knots)'
    """
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    raise FormulaError(unknown_function_message(name))


def unknown_function_message(name: str) -> str:
    """The sentence for a function outside the closed list."""
    start = f"`{name}` is no function a formula can call."
    if name in _ADVICE:
        return f"{start} {_ADVICE[name]}"
    bare = name.rpartition(".")[2]
    if bare != name and bare in FUNCTIONS:
        return f"{start} Functions are written without a module: `{bare}(...)`."
    close = nearest(name, FUNCTIONS) or nearest(bare, FUNCTIONS)
    if close:
        return f"{start} Did you mean {either(close)}?"
    return f"{start} Known are {', '.join(sorted(FUNCTIONS, key=str.lower))}."


def match_arguments(call: Call, text: str | None = None) -> dict[str, Expression]:
    """The arguments of a call under their full names, matched as R matches them.

    Exact names first, then unique beginnings of names, then positions; arguments of a function
    with ``...`` that match no name are returned as ``...1``, ``...2`` in the order given.

    Parameters
    ----------
    call : Call
        A call of a known function.
    text : str, optional
        The whole formula; with it an error shows the place.

    Returns
    -------
    dict
        Only the arguments that were given.

    Raises
    ------
    FormulaError
        Unknown function, unknown, repeated or missing argument, too many arguments.

    Examples
    --------
    >>> from mixeff.formula import parse_expression
    >>> sorted(match_arguments(parse_expression("poly(x, 2, raw = TRUE)")))
    ['degree', 'raw', 'x']
    """
    try:
        return _match(call, lookup(call.function))
    except FormulaError as error:
        if text is None:
            raise
        raise formula_error(str(error), text, call.position, len(call.function)) from None


def _match(call: Call, spec: FunctionSpec) -> dict[str, Expression]:
    matched: dict[str, Expression] = {}
    positional: list[Argument] = []
    for argument in call.arguments:
        name = None if argument.name is None else _full_name(argument.name, spec)
        if name is None:
            positional.append(argument)
        elif name in matched:
            raise FormulaError(f"`{spec.name}()` is given its argument `{name}` twice.")
        else:
            matched[name] = argument.value
    _place(positional, spec, matched)
    for parameter in spec.parameters:
        if parameter.required and parameter.name not in matched:
            raise FormulaError(
                f"`{spec.name}()` lacks its argument `{parameter.name}`; "
                f"it is called as {spec.signature}."
            )
    has_dots_only = not any(p.required for p in spec.parameters)
    if has_dots_only and not any(name.startswith("...") for name in matched):
        raise FormulaError(
            f"`{spec.name}()` is called without a value; it is called as {spec.signature}."
        )
    return {key: matched[key] for key in _order(spec, matched)}


def _full_name(written: str, spec: FunctionSpec) -> str | None:
    """The parameter a written name means; None where it belongs to ``...``."""
    names = [p.name for p in spec.parameters]
    if written in names:
        return written
    before_dots = names if spec.dots_at is None else names[: spec.dots_at]
    starts = [n for n in before_dots if n.startswith(written)]
    if len(starts) == 1:
        return starts[0]
    if spec.name in ("c", "cbind"):
        return None  # names of the values, which change nothing
    if len(starts) > 1:
        raise FormulaError(
            f"The argument name `{written}` of `{spec.name}()` may mean {either(starts)}; "
            "write it in full."
        )
    close = nearest(written, names, 1)
    hint = f" Did you mean `{close[0]}`?" if close else ""
    raise FormulaError(
        f"`{spec.name}()` has no argument `{written}`.{hint} It is called as {spec.signature}."
    )


def _place(positional: list[Argument], spec: FunctionSpec, matched: dict[str, Expression]) -> None:
    """Give the unnamed arguments the free parameters in order, the rest to ``...``."""
    reachable = spec.parameters if spec.dots_at is None else spec.parameters[: spec.dots_at]
    free = [p.name for p in reachable if p.name not in matched]
    if spec.name == "poly" and "degree" not in matched:
        # R's poly(x, 2): a number in the place of further variables is the degree.
        free.append("degree")
    for index, argument in enumerate(positional):
        if index < len(free):
            matched[free[index]] = argument.value
        elif spec.dots_at is None or spec.name == "poly":
            raise FormulaError(
                f"`{spec.name}()` is given too many arguments; it is called as {spec.signature}."
            )
        else:
            matched[f"...{index - len(free) + 1}"] = argument.value


def _order(spec: FunctionSpec, matched: dict[str, Expression]) -> list[str]:
    names = [p.name for p in spec.parameters]
    dots = [n for n in matched if n.startswith("...")]
    return dots + [n for n in names if n in matched]
