"""Text of a formula to tokens, by the lexical rules of R."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from mixeff.errors import FormulaError
from mixeff.formula.problems import formula_error

#: A longer formula is refused before it is read.
MAX_LENGTH = 100_000


class Kind(Enum):
    """What a token is."""

    NUMBER = "number"
    STRING = "string"
    NAME = "name"
    OPERATOR = "operator"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One token: ``text`` is the name, the operator, the number as R prints it, or the string."""

    kind: Kind
    text: str
    position: int
    width: int
    quoted: bool = False  # a name in backticks


_OPERATORS = ("**", "||", "&&", "<=", ">=", "==", "!=", *"~+-*/^:|!<>&(),=")
# Operators of R (or Python) that a formula cannot use, and what to write instead.
_REFUSED = {
    "<-": "`<-` assigns in R, which a formula cannot do; to compare with a negative number "
    "leave a blank: `x < -1`.",
    "->": "`->` assigns in R, which a formula cannot do.",
    "|>": "Pipes cannot be used in a formula; write the call itself, `f(x)`.",
    ":=": "`:=` assigns, which a formula cannot do.",
    "::": "Packages are not named in a formula; write the function alone, `ns(x)` "
    "and not `splines::ns(x)`.",
    "//": "`//` is Python's integer division; write `floor(x / y)` inside `I()`.",
    "$": "Name the column alone, `x` and not `data$x`.",
    "@": "`@` has no meaning in a formula.",
    "[": "Columns cannot be indexed in a formula; make the column before fitting and name it here.",
    "]": "Columns cannot be indexed in a formula; make the column before fitting and name it here.",
    "{": "Braces have no meaning in a formula.",
    "}": "Braces have no meaning in a formula.",
    ";": "One formula is one expression; `;` has no place in it.",
    "#": "Comments cannot stand in a formula.",
    "_": "A name that starts with an underscore must be written in backquotes, `` `_x` ``.",
    "\\": "A backslash has a meaning only inside quotes.",
    "?": "`?` has no meaning in a formula.",
    "\u2212": "This is a typographic minus sign; write the plain `-`.",
    "\u2013": "This is a dash; write the plain `-`.",
    "\u00d7": "Write `*` for a product.",
    "\u223c": "This is a typographic tilde; write the plain `~`.",
    "\uff5e": "This is a typographic tilde; write the plain `~`.",
    "\u201c": 'This is a typographic quote; write the plain `"`.',
    "\u201d": 'This is a typographic quote; write the plain `"`.',
    "\u2018": "This is a typographic quote; write the plain `'`.",
    "\u2019": "This is a typographic quote; write the plain `'`.",
}
_ESCAPES = {
    "n": "\n", "t": "\t", "r": "\r", "0": "\0", "a": "\a", "b": "\b", "f": "\f", "v": "\v",
    "\\": "\\", '"': '"', "'": "'", "`": "`", " ": " ", "\n": "\n",
}  # fmt: skip
_HEX_DIGITS = {"x": 2, "u": 4, "U": 8}


def tokenize(text: str) -> list[Token]:
    """All tokens of ``text``, closed by one of kind ``END``.

    Parameters
    ----------
    text : str
        A formula. Line ends count as blanks.

    Returns
    -------
    list of Token

    Raises
    ------
    FormulaError
        A character that starts no token, an unfinished string, or more than 100,000 characters.

    Examples
    --------
    >>> [t.text for t in tokenize("y ~ x + (1 | g)")]
    ['y', '~', 'x', '+', '(', '1', '|', 'g', ')', '']
    """
    if len(text) > MAX_LENGTH:
        raise FormulaError(
            f"The formula has {len(text):,} characters; at most {MAX_LENGTH:,} are read. "
            f"It starts with\n  {_head(text)}"
        )
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        token = _token(text, at)
        tokens.append(token)
        at += token.width
    tokens.append(Token(Kind.END, "", len(text.rstrip()), 0))
    return tokens


def is_name_start(text: str, at: int) -> bool:
    """A name of R starts with a letter, or with a dot no digit follows."""
    c = text[at]
    if c == ".":
        return not text[at + 1 : at + 2].isdigit()
    return c.isalpha()


def is_name_part(c: str) -> bool:
    """Characters a name goes on with: letters, digits, dots, underscores, combining marks."""
    return c.isalnum() or c in "._" or (c > "\x7f" and ("a" + c).isidentifier())


def _head(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:60]) + "..."


def _token(text: str, at: int) -> Token:
    c = text[at]
    if "0" <= c <= "9" or (c == "." and text[at + 1 : at + 2].isdigit()):
        return _number(text, at)
    if is_name_start(text, at):
        return _name(text, at)
    if c in "\"'`":
        return _quoted(text, at)
    return _operator(text, at)


def _name(text: str, at: int) -> Token:
    end = at + 1
    while end < len(text) and is_name_part(text[end]):
        end += 1
    return Token(Kind.NAME, text[at:end], at, end - at)


def _operator(text: str, at: int) -> Token:
    c = text[at]
    if c == "%":
        return _percent(text, at)
    two = text[at : at + 2]
    if two in _REFUSED:
        raise formula_error(_REFUSED[two], text, at, 2)
    for operator in _OPERATORS:
        if text.startswith(operator, at):
            # R reads ** as ^ and prints it so.
            return Token(Kind.OPERATOR, "^" if operator == "**" else operator, at, len(operator))
    advice = _REFUSED.get(c, "It belongs to no name, number or operator; remove it, or write "
                          "a column name that contains it in backquotes.")  # fmt: skip
    shown = c if c.isprintable() else f"U+{ord(c):04X}"
    raise formula_error(f"Stray character `{shown}` in the formula. {advice}", text, at)


def _percent(text: str, at: int) -> Token:
    if text.startswith("%in%", at):
        return Token(Kind.OPERATOR, "%in%", at, 4)
    end = text.find("%", at + 1)
    found = text[at : end + 1] if 0 < end <= at + 20 else "%"
    raise formula_error(
        f"`{found}` is no operator of a formula; the only one between percent signs is `%in%`.",
        text, at, len(found),
    )  # fmt: skip


def _quoted(text: str, at: int) -> Token:
    quote = text[at]
    pieces: list[str] = []
    end = at + 1
    while end < len(text) and text[end] != quote:
        if text[end] == "\\":
            piece, end = _escape(text, end)
        else:
            piece, end = text[end], end + 1
        pieces.append(piece)
    if end >= len(text):
        what = "backquote" if quote == "`" else "quote"
        raise formula_error(f"The {what} opened here is never closed.", text, at)
    value = "".join(pieces)
    if quote != "`":
        return Token(Kind.STRING, value, at, end + 1 - at)
    if not value:
        raise formula_error("There is no name between these backquotes.", text, at, 2)
    return Token(Kind.NAME, value, at, end + 1 - at, quoted=True)


def _escape(text: str, at: int) -> tuple[str, int]:
    """The character a backslash at ``at`` writes, and the index after it."""
    c = text[at + 1 : at + 2]
    if c in _ESCAPES and c:
        return _ESCAPES[c], at + 2
    if c in _HEX_DIGITS and c:
        start = at + 2
        brace = text[start : start + 1] == "{"
        start += brace
        end = start
        while end < start + _HEX_DIGITS[c] and text[end : end + 1] in tuple(
            "0123456789abcdefABCDEF"
        ):
            end += 1
        code = int(text[start:end], 16) if end > start else 0
        closed = not brace or text[end : end + 1] == "}"
        if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 and closed:
            return chr(code), end + brace
    raise formula_error(
        "This backslash starts no character known to R; write `\\\\` for a backslash itself.",
        text, at, 2,
    )  # fmt: skip


def _number(text: str, at: int) -> Token:
    end, value = _scan_number(text, at)
    integer = text[end : end + 1] == "L" and value == math.floor(value)
    end += integer
    if end < len(text) and (is_name_part(text[end]) and text[end] != "."):
        stop = end
        while stop < len(text) and is_name_part(text[stop]):
            stop += 1
        raise formula_error(
            f"`{text[at:stop]}` is neither a number nor a name: a name that starts with a digit "
            f"must be written in backquotes, `` `{text[at:stop]}` ``; a product needs its `*`.",
            text, at, stop - at,
        )  # fmt: skip
    return Token(Kind.NUMBER, number_text(value, integer=integer), at, end - at)


def _scan_number(text: str, at: int) -> tuple[int, float]:
    """Index after the longest number that starts at ``at``, and its value (infinite: an error)."""
    if text[at : at + 2] in ("0x", "0X"):
        end = at + 2
        while end < len(text) and text[end] in "0123456789abcdefABCDEF":
            end += 1
        value = float(int(text[at + 2 : end], 16)) if at + 2 < end < at + 200 else math.inf
    else:
        end = _digits(text, at)
        if text[end : end + 1] == ".":
            end = _digits(text, end + 1)
        if text[end : end + 1] in ("e", "E"):
            sign = end + 1 + (text[end + 1 : end + 2] in ("+", "-"))
            if _digits(text, sign) > sign:
                end = _digits(text, sign)
        value = float(text[at:end])
    if not math.isfinite(value):
        raise formula_error("This number is too large.", text, at, end - at)
    return end, value


def _digits(text: str, at: int) -> int:
    while at < len(text) and "0" <= text[at] <= "9":
        at += 1
    return at


def number_text(value: float, *, integer: bool = False) -> str:
    """A number as R's deparse writes it: 15 significant digits, the shorter of two notations.

    Examples
    --------
    >>> number_text(0.5), number_text(100000.0), number_text(123456.0)
    ('0.5', '1e+05', '123456')
    """
    if integer:
        return f"{int(value)}L"
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.14e}".split("e")
    digits = mantissa.rstrip("0").rstrip(".")
    power = int(exponent)
    scientific = f"{digits}e{power:+03d}"
    decimals = max(0, len(digits.replace(".", "").replace("-", "")) - 1 - power)
    fixed = f"{value:.{decimals}f}"
    return fixed if len(fixed) <= len(scientific) else scientific
