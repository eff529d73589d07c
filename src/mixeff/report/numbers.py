"""Numbers as R prints them: significant digits, one layout for a whole column, p values.

The rules are those R documents for ``format``, ``round``, ``zapsmall`` and ``format.pval``; all
rounding here is of the exact binary value, as C's ``printf`` does it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

EPSILON = 2.220446049250313e-16  # smallest p value printed as a number


@dataclass(frozen=True, slots=True)
class Shape:
    """How one number looks with at most a given number of significant digits.

    ``exponent`` is the power of ten of its leading digit after rounding, ``significant`` the digits
    left when trailing zeros go, ``left`` the digits before the point in fixed notation.
    """

    negative: bool
    exponent: int
    significant: int
    left: int


def shape_of(value: float, digits: int) -> Shape:
    """The shape of a finite number at ``digits`` significant digits."""
    if value == 0:
        return Shape(False, 0, 1, 1)
    mantissa, _, power = f"{abs(value):.{digits - 1}e}".partition("e")
    exponent = int(power)
    significant = max(1, len(mantissa.replace(".", "").rstrip("0")))
    left = exponent + 1
    # 9996 at three digits is 1e+04, but in fixed notation it is written 9996, one digit shorter.
    half_a_unit = 0.5 / 10.0 ** max(0, digits - exponent)
    if exponent > 0 and abs(value) < 10.0**exponent - half_a_unit:
        left -= 1
    return Shape(value < 0, exponent, significant, max(left, 1))


def format_column(
    values: Iterable[float], digits: int = 7, *, decimals: int = 0, pad: bool = True
) -> list[str]:
    """Format numbers alike, as R's ``format`` does a numeric vector.

    Parameters
    ----------
    values : iterable of float
        NaN gives ``NaN`` (write missing values yourself), infinities ``Inf`` and ``-Inf``.
    digits : int
        The element that needs most digits shows this many significant ones (trailing zeros of all
        elements dropped); all get its number of decimals.
    decimals : int
        At least this many decimals where fixed notation is used (R's ``nsmall``).
    pad : bool
        Pad on the left to one width.

    Returns
    -------
    list of str
        Fixed notation unless scientific is narrower.
    """
    numbers = [float(v) for v in values]
    shapes = [shape_of(v, digits) for v in numbers if math.isfinite(v)]
    template, width = _template(shapes, decimals)
    texts = [_one(v, template) for v in numbers]
    if not pad:
        return texts
    width = max(width, *(len(t) for t in texts)) if texts else 0
    return [t.rjust(width) for t in texts]


def _template(shapes: Sequence[Shape], decimals: int) -> tuple[str, int]:
    """The common ``printf`` style (``.3f`` or ``.3e``, fixed if it is not wider) and its width."""
    if not shapes:
        return ".0f", 0
    places = max(max(0, s.significant - s.exponent - 1) for s in shapes)
    fixed = max(s.left + s.negative for s in shapes) + (places + 1 if places else 0)
    mantissa = max(s.significant for s in shapes) - 1
    wide_power = any(abs(s.exponent) >= 100 for s in shapes)
    scientific = (
        any(s.negative for s in shapes) + 1 + (mantissa + 1 if mantissa else 0) + 4 + wide_power
    )
    if fixed > scientific:
        return f".{mantissa}e", scientific
    if decimals > places:
        fixed += decimals - places + (places == 0)
    return f".{max(places, decimals)}f", fixed


def _one(value: float, template: str) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    # Zero has no sign on paper; a negative number rounded to zero keeps it, as in R.
    return format(value if value else 0.0, template)


def format_number(value: float, digits: int = 7) -> str:
    """One number with at most ``digits`` significant digits, as R's ``cat`` writes it."""
    return format_column([value], digits)[0]


def round_decimals(values: Iterable[float], decimals: int) -> list[float]:
    """Round to decimals (R's ``round``, from version 4.0)."""
    return [_round(float(v), decimals) for v in values]


def _round(value: float, decimals: int) -> float:
    """The nearer of the two neighbours with so many decimals; the even one if equally near."""
    if value == 0 or not math.isfinite(value):
        return value
    if decimals > 15 - math.ceil(math.log10(abs(value))):
        return value  # a double holds 15 digits: nothing to round away
    size, power = abs(value), 10.0**decimals
    below, above = math.floor(size * power), math.ceil(size * power)
    short, over = size - below / power, above / power - size
    nearest = below if short < over or (short == over and below % 2 == 0) else above
    return math.copysign(nearest / power, value)


def round_significant(values: Iterable[float], digits: int) -> list[float]:
    """Round to significant digits (R's ``signif``)."""
    return [_significant(float(v), digits) for v in values]


def _significant(value: float, digits: int) -> float:
    if value == 0 or not math.isfinite(value):
        return value
    shift = digits - 1 - math.floor(math.log10(abs(value)))
    if abs(shift) > 300:
        return float(f"{value:.{digits - 1}e}")  # the power of ten itself is out of range
    if shift > 0:
        return round(value * 10.0**shift) / 10.0**shift
    return round(value / 10.0**-shift) * 10.0**-shift


def zap_small(values: Iterable[float], digits: int = 7) -> list[float]:
    """Round away what is negligible beside the largest element (R's ``zapsmall``)."""
    numbers = [float(v) for v in values]
    largest = max((abs(v) for v in numbers if not math.isnan(v)), default=0.0)
    if largest == 0:
        return numbers
    if math.isinf(largest):
        return round_decimals(numbers, 0)
    return round_decimals(numbers, max(0, math.floor(digits - math.log10(largest) + 0.5)))


def format_p_values(values: Iterable[float], digits: int, eps: float = EPSILON) -> list[str]:
    """Format p values: large ones alike, tiny ones alike, those under ``eps`` as ``< 2.2e-16``.

    Parameters
    ----------
    values : iterable of float
        NaN gives ``NA``.
    digits : int
        Significant digits.
    eps : float
        Below it only the bound is told.
    """
    numbers = [float(v) for v in values]
    texts = ["NA"] * len(numbers)
    shown = [i for i, p in enumerate(numbers) if p >= eps]
    # The smallest power of ten whose numbers, all digits shown, are no wider in fixed notation.
    limit = -4 if digits > 1 else -3
    plain = [i for i in shown if numbers[i] == 0 or math.floor(math.log10(numbers[i])) >= limit]
    for group in (plain, [i for i in shown if i not in plain]):
        for i, text in zip(group, format_column([numbers[i] for i in group], digits), strict=True):
            texts[i] = text
    bound = _bound(eps, digits, [texts[i] for i in shown])
    return [bound if p < eps else text for p, text in zip(numbers, texts, strict=True)]


def _bound(eps: float, digits: int, shown: Sequence[str]) -> str:
    """``< 2.2e-16``: two digits fewer than the rest, and no wider than the rest where possible."""
    digits = max(1, digits - 2)
    narrow = digits == 1
    if shown:
        widest = max(len(t) for t in shown)
        if digits > 1 and digits + 6 > widest:
            digits = max(1, widest - 7)
        narrow = digits == 1 and widest <= 6
    return ("<" if narrow else "< ") + format_column([eps], digits)[0]


STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, "."), (1.0, " "))
LEGEND = (
    "Signif. codes:  0 \u2018***\u2019 0.001 \u2018**\u2019 0.01 \u2018*\u2019 0.05 "
    "\u2018.\u2019 0.1 \u2018 \u2019 1"
)


def stars_of(p: float) -> str:
    """The significance symbol of a p value; empty for NaN."""
    return next((symbol for bound, symbol in STARS if p <= bound), "")
