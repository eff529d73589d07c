"""The syntax tree of a formula and the model formula made from it: no data, no numbers."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Number:
    """A numeric literal; ``text`` is how R prints it (``1e5`` is ``1e+05``), for labels."""

    value: float
    text: str = field(compare=False)
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class String:
    """A quoted literal."""

    value: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A column, or a constant (``pi``, ``TRUE`` ...), without backticks; ``.`` is a Name."""

    name: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a call; ``name`` is None for a positional one."""

    name: str | None
    value: Expression


@dataclass(frozen=True, slots=True)
class Call:
    """A call of one of the functions in the closed list, e.g. ``poly(x, 2)``."""

    function: str
    arguments: tuple[Argument, ...]
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Unary:
    """``-x``, ``+x`` or ``!x``."""

    operator: str
    operand: Expression
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """``left operator right``; operators as R writes them, also ``|``, ``||`` and ``~``."""

    operator: str
    left: Expression
    right: Expression
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Parenthesis:
    """A parenthesised expression, kept so that the formula can be printed as R prints it."""

    inner: Expression
    position: int = field(default=0, compare=False)


Expression = Number | String | Name | Call | Unary | Binary | Parenthesis


@dataclass(frozen=True, slots=True)
class Term:
    """A fixed-effect (or random-effect) term: the product of its variables, ``a``, ``a:log(b)``.

    ``variables`` are in R's order (order of first appearance in the whole formula part); the empty
    tuple never occurs (the intercept is a flag of its own). ``label`` is R's term label.
    """

    variables: tuple[Expression, ...]
    label: str

    @property
    def order(self) -> int:
        """Number of variables multiplied."""
        return len(self.variables)


@dataclass(frozen=True, slots=True)
class LinearPart:
    """An expanded right-hand side: ``intercept`` flag and the terms in R's order (by degree)."""

    intercept: bool
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class RandomPart:
    """One random term ``(effects | group)`` after expansion of ``/``, ``*`` and ``||``.

    ``group`` holds the expressions whose interaction is the grouping factor, in the order lme4
    writes them (``(1 | a/b)`` gives ``(b, a)`` and ``(a,)``); ``group_label`` is lme4's name for it
    (``b:a``, ``gen:(popu:reg)``). ``independent`` is True for a ``||`` term that design must split
    into one variance per column (``Control(double_bar="independent")``).
    """

    effects: LinearPart
    group: tuple[Expression, ...]
    group_label: str
    independent: bool
    label: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class ModelFormula:
    """A formula taken apart.

    ``text`` is what the caller wrote; ``display`` is R's deparse of it (``lmer`` prints this, with
    ``||`` written out as lme4 does); ``fixed_display`` the same without the random terms.
    ``display_lines`` is ``display`` in the lines R's deparse breaks it into. ``has_dot`` tells that
    ``.`` must still be replaced: see ``expand_dot``.
    """

    text: str
    display: str
    response: Expression | None
    fixed: LinearPart
    random: tuple[RandomPart, ...]
    offsets: tuple[Expression, ...]
    variables: tuple[str, ...]
    fixed_display: str = ""
    display_lines: tuple[str, ...] = ()
    has_dot: bool = False
