"""Tokens to a syntax tree by R's operator precedence; what cannot be read gets a sentence."""

from __future__ import annotations

from typing import NoReturn

from mixeff.errors import FormulaError, OptionError
from mixeff.formula.deparse import PRECEDENCE, PREFIX_PRECEDENCE
from mixeff.formula.functions import FUNCTIONS
from mixeff.formula.problems import formula_error
from mixeff.formula.tokens import Kind, Token, tokenize
from mixeff.formula.tree import (
    Argument,
    Binary,
    Call,
    Expression,
    Name,
    Number,
    Parenthesis,
    String,
    Unary,
)

#: Parentheses, calls and operators may be nested this deep.
MAX_DEPTH = 60
_COMPARISON = PRECEDENCE["<"]
_OF_TERMS = frozenset({"~", "|", "||", "+", "-", "*", "/", ":", "^", "%in%"})
_WORDS = {"and": "&", "or": "|", "not": "!"}


def parse_expression(text: str) -> Expression:
    """The syntax tree of any formula text or piece of one.

    Parameters
    ----------
    text : str
        ``"y ~ x + (1 | g)"``, ``"log(x)"`` ...

    Returns
    -------
    Expression

    Raises
    ------
    FormulaError
        The text follows no rule of R's grammar; the message shows the place.
    OptionError
        The argument is not a text.

    Examples
    --------
    >>> from mixeff.formula import deparse
    >>> deparse(parse_expression("y~x*z"))
    'y ~ x * z'
    """
    if not isinstance(text, str):
        raise OptionError(
            f'A formula is a text such as "y ~ x + (1 | g)", not {type(text).__name__}.'
        )
    return _Reader(text).whole()


class _Reader:
    """Precedence climbing over the tokens of one formula."""

    def __init__(self, text: str) -> None:
        self.source = text
        self.tokens = tokenize(text)
        self.index = 0
        self.depth = 0
        self.calls = 0  # inside so many function calls, where `=` names an argument
        self.open: list[Token] = []

    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    def whole(self) -> Expression:
        if self.token.kind is Kind.END:
            raise FormulaError('The formula is empty; write for example "y ~ x + (1 | g)".')
        expression = self._expression(0)
        if not self._at_end():
            self._unexpected(self.token)
        self._check_depth(expression)
        return expression

    def _fail(self, message: str, token: Token) -> NoReturn:
        raise formula_error(message, self.source, token.position, max(token.width, 1))

    def _at_end(self) -> bool:
        return self.token.kind is Kind.END

    def _is(self, *operators: str) -> bool:
        return self.token.kind is Kind.OPERATOR and self.token.text in operators

    def _expression(self, weakest: int) -> Expression:
        """An operand and every operator after it that binds at least as strongly."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self._fail(
                f"The formula is nested more than {MAX_DEPTH} deep here; write it with fewer "
                "parentheses.",
                self.token,
            )
        left = self._prefix()
        compared = False
        while self.token.kind is Kind.OPERATOR and self.token.text in PRECEDENCE:
            operator = self.token
            strength = PRECEDENCE[operator.text]
            if strength < weakest:
                break
            if strength == _COMPARISON:
                if compared:
                    self._fail(
                        "Comparisons cannot be chained; write `(a < b) & (b < c)`.",
                        operator,
                    )
                compared = True
            self.index += 1
            self._need_operand(operator)
            right = self._expression(strength if operator.text == "^" else strength + 1)
            left = Binary(operator.text, left, right, operator.position)
        self.depth -= 1
        return left

    def _prefix(self) -> Expression:
        token = self.token
        if token.kind is Kind.OPERATOR and token.text in PREFIX_PRECEDENCE:
            self.index += 1
            self._need_operand(token)
            operand = self._expression(PREFIX_PRECEDENCE[token.text] + 1)
            return Unary(token.text, operand, token.position)
        return self._primary()

    def _need_operand(self, operator: Token) -> None:
        """Complain about a missing operand where the operator stands, not after it."""
        if self.token.kind is Kind.END:
            if operator.text == "~":
                self._fail(
                    "Nothing stands on the right of `~`; write the terms there, for example "
                    "`~ x + (1 | g)`.",
                    operator,
                )
            self._fail(
                f"Nothing follows `{operator.text}` at the end of the formula.",
                operator,
            )
        if self._is(")", ","):
            if operator.text in ("|", "||"):
                self._fail(
                    "The grouping factor is missing after the bar; a random term is written "
                    "`(x | g)`.",
                    operator,
                )
            self._fail(
                f"Nothing follows `{operator.text}` before `{self.token.text}`.",
                operator,
            )

    def _primary(self) -> Expression:
        token = self.token
        if token.kind is Kind.NUMBER:
            self.index += 1
            return Number(float(token.text.removesuffix("L")), token.text, token.position)
        if token.kind is Kind.STRING:
            self.index += 1
            return String(token.text, token.position)
        if token.kind is Kind.NAME:
            self.index += 1
            if self._is("("):
                return self._call(token)
            return Name(token.text, token.position)
        if self._is("("):
            self._opened()
            if self._is(")"):
                self._fail("There is nothing between these parentheses.", token)
            inner = self._expression(0)
            self._closed()
            return Parenthesis(inner, token.position)
        self._no_operand(token)

    def _opened(self) -> None:
        self.open.append(self.token)
        self.index += 1

    def _closed(self) -> None:
        if not self._is(")"):
            self._unexpected(self.token)
        self.open.pop()
        self.index += 1

    def _call(self, name: Token) -> Call:
        self._opened()
        self.calls += 1
        arguments: list[Argument] = []
        while not self._is(")"):
            arguments.append(self._argument())
            if self._is(","):
                comma = self.token
                self.index += 1
                if self._is(")"):
                    self._fail("An argument is missing after this comma.", comma)
            elif not self._is(")"):
                self._unexpected(self.token)
        self.calls -= 1
        self._closed()
        return Call(name.text, tuple(arguments), name.position)

    def _argument(self) -> Argument:
        following = self.tokens[self.index + 1] if self.token.kind is not Kind.END else self.token
        named = self.token.kind in (Kind.NAME, Kind.STRING)
        if named and following.kind is Kind.OPERATOR and following.text == "=":
            name = self.token.text
            self.index += 2
            if self._is(")", ","):
                self._fail(f"The argument `{name}` has no value.", following)
            return Argument(name, self._expression(0))
        if self._is(","):
            self._fail("An argument is missing before this comma.", self.token)
        return Argument(None, self._expression(0))

    def _no_operand(self, token: Token) -> NoReturn:
        """A token that cannot begin an operand."""
        if token.kind is Kind.END:
            self._unclosed()
        if token.text in ("|", "||"):
            self._fail(
                "Nothing stands before this bar; a random intercept is written `(1 | g)`.",
                token,
            )
        if token.text == ")" and not self.open:
            self._fail("This parenthesis closes none; remove it.", token)
        if self.index == 0:
            self._fail(f"The formula cannot begin with `{token.text}`.", token)
        before = self.tokens[self.index - 1].text
        self._fail(
            f"`{token.text}` cannot follow `{before}`; a term is missing between.",
            token,
        )

    def _unclosed(self) -> NoReturn:
        if self.open:
            self._fail("This parenthesis is never closed; add `)`.", self.open[-1])
        self._fail("The formula ends too early.", self.token)

    def _unexpected(self, token: Token) -> NoReturn:
        """A token where an operator, a comma or the end should stand."""
        if token.kind is Kind.END:
            self._unclosed()
        if token.text == ")":
            self._fail("This parenthesis closes none; remove it.", token)
        if token.text == ",":
            self._fail(
                "A comma separates arguments of a function; terms are joined by `+`.",
                token,
            )
        if token.text == "=" and token.kind is Kind.OPERATOR:
            if self.calls:
                self._fail("`=` follows the name of an argument; to compare write `==`.", token)
            self._fail("Write `~` between response and terms, not `=`.", token)
        if token.text == "!" and token.kind is Kind.OPERATOR:
            self._fail("`!` cannot follow a term; to compare write `!=`.", token)
        before = self.tokens[self.index - 1]
        word = next(
            (t for t in (before, token) if t.kind is Kind.NAME and t.text in _WORDS),
            None,
        )
        if word is not None and not word.quoted:
            self._fail(
                f"An operator is missing here; `{word.text}` is a column name in a formula, the "
                f"operator is `{_WORDS[word.text]}`.",
                word,
            )
        if token.text == "(":
            self._fail(
                f"An operator is missing between `{before.text}` and this parenthesis.",
                token,
            )
        if before.kind is Kind.NAME and before.text in FUNCTIONS:
            self._fail(
                f"The argument of a function stands in parentheses: `{before.text}(...)`.", token
            )
        shown = f'"{token.text}"' if token.kind is Kind.STRING else f"`{token.text}`"
        self._fail(
            f"An operator is missing before {shown}; join terms with `+`, and write a column name "
            "that contains blanks in backquotes.",
            token,
        )

    def _check_depth(self, expression: Expression) -> None:
        """Bound the depth of the tree; only a plain sum of terms may be longer."""
        stack: list[tuple[Expression, int, bool]] = [(expression, 0, False)]
        while stack:
            node, depth, in_call = stack.pop()
            if depth > 3 * MAX_DEPTH:
                raise formula_error(
                    f"More than {3 * MAX_DEPTH} operators are chained here; shorten this "
                    "expression, or make the column before fitting.",
                    self.source,
                    node.position,
                )
            if isinstance(node, Binary):
                chain = node.operator in ("+", "-") and not in_call
                # Only terms are ever summed by the thousand; a response, a grouping factor and
                # the sides of a comparison are kept as trees and must stay shallow.
                left = in_call or node.operator not in _OF_TERMS
                right = left or node.operator in ("|", "||")
                stack.append(
                    (node.left, depth if chain else depth + 1, left or node.operator == "~")
                )
                stack.append((node.right, depth + 1, right))
            elif isinstance(node, Unary):
                stack.append((node.operand, depth + 1, in_call))
            elif isinstance(node, Parenthesis):
                stack.append((node.inner, depth + 1, in_call))
            elif isinstance(node, Call):
                stack.extend((a.value, depth + 1, True) for a in node.arguments)
