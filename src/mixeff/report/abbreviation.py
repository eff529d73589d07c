"""Short names that are still readable, by the rules R documents for ``abbreviate``.

From the right, until a name is short enough: lower-case vowels at the end of a word, then
lower-case vowels elsewhere, then lower-case letters at the end of a word, then lower-case letters
elsewhere, then anything; never the first character of a word. Blanks go last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

VOWELS = frozenset("aeiou")


def abbreviate(names: Sequence[str], length: int) -> list[str]:
    """Abbreviate to at most ``length`` characters, more only where names would become equal.

    Examples
    --------
    >>> abbreviate(["(Intercept)", "meanses", "statusPetri.Plate"], 6)
    ['(Intr)', 'meanss', 'sttP.P']
    """
    distinct = list(dict.fromkeys(name.strip(" ") for name in names))
    short = [abbreviate_one(name, length) for name in distinct]
    while repeated := _repeated(short):
        length += 1
        short = [
            abbreviate_one(name, length) if text in repeated else text
            for name, text in zip(distinct, short, strict=True)
        ]
    of = dict(zip(distinct, short, strict=True))
    return [of[name.strip(" ")] for name in names]


def _repeated(texts: Sequence[str]) -> set[str]:
    return {text for text, count in Counter(texts).items() if count > 1}


def abbreviate_one(name: str, length: int) -> str:
    """One name by the rules, without regard to others."""
    if len(name) <= length:
        return name
    characters = list(name)
    if not _short_enough(characters, length):
        for removable in (_last_vowel, _inner_vowel, _last_lower, _inner_lower, _inner):
            if _strip(characters, length, removable):
                break
    if len(characters) > length:
        characters = [c for i, c in enumerate(characters) if i == 0 or not c.isspace()]
    return "".join(characters)


Rule = Callable[[Sequence[str], int], bool]


def _strip(characters: list[str], length: int, removable: Rule) -> bool:
    """Remove from the right what the rule allows; True as soon as the name is short enough."""
    for i in range(len(characters) - 1, 0, -1):
        if removable(characters, i):
            del characters[i]
        if _short_enough(characters, length):
            return True
    return False


def _short_enough(characters: Sequence[str], length: int) -> bool:
    # Blanks do not count: they are taken out at the end.
    return sum(not c.isspace() for c in characters) <= length


def _starts_word(characters: Sequence[str], i: int) -> bool:
    return characters[i - 1].isspace()


def _ends_word(characters: Sequence[str], i: int) -> bool:
    followed = i + 1 < len(characters) and not characters[i + 1].isspace()
    return not followed and not _starts_word(characters, i)


def _last_vowel(characters: Sequence[str], i: int) -> bool:
    return characters[i] in VOWELS and _ends_word(characters, i)


def _inner_vowel(characters: Sequence[str], i: int) -> bool:
    return characters[i] in VOWELS and not _starts_word(characters, i)


def _last_lower(characters: Sequence[str], i: int) -> bool:
    return characters[i].islower() and _ends_word(characters, i)


def _inner_lower(characters: Sequence[str], i: int) -> bool:
    return characters[i].islower() and not _starts_word(characters, i)


def _inner(characters: Sequence[str], i: int) -> bool:
    return not _starts_word(characters, i) and not characters[i].isspace()
