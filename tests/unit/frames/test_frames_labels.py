"""Lazy level labels behave as the tuple they stand for, whatever made them."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mixeff as mx
from mixeff.frames import read_columns
from mixeff.frames.labels import LazyLevels
from mixeff.frames.levels import codes_of_numbers, drop_unused, interaction, number_label

ABC = ("a", "b", "c")


def lazy(labels: tuple[str, ...] = ABC) -> LazyLevels:
    return LazyLevels(len(labels), lambda: labels)


def test_behaves_as_the_tuple() -> None:
    assert lazy() == ABC
    assert ABC == lazy()  # noqa: SIM300
    assert lazy() == lazy()
    assert lazy() != ("a", "b")
    assert lazy() != ("a", "b", "x")
    assert hash(lazy()) == hash(ABC)
    assert (lazy()[0], lazy()[-1], lazy()[1:]) == ("a", "c", ("b", "c"))
    assert list(lazy()) == list(ABC)
    assert "b" in lazy()
    assert lazy().index("c") == 2
    assert (*lazy(), None) == (*ABC, None)
    assert ", ".join(lazy()) == "a, b, c"
    assert repr(lazy()) == repr(ABC)
    assert lazy() + ("d",) == (*ABC, "d")  # noqa: RUF005
    assert not lazy(())


def test_labels_are_made_once_and_only_when_read() -> None:
    calls = []

    def make() -> tuple[str, ...]:
        calls.append(1)
        return ABC

    levels = LazyLevels(3, make)
    assert len(levels) == 3
    assert calls == []
    assert levels[1] + levels[2] == "bc"
    assert calls == [1]


@pytest.mark.parametrize(
    "other", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_copies_are_plain_tuples(other) -> None:
    found = other(lazy())
    assert type(found) is tuple
    assert found == ABC


NUMBERS = st.lists(
    st.one_of(
        st.integers(-50, 50).map(float),
        st.floats(allow_nan=False, allow_infinity=False, width=32),
        st.sampled_from([1e5, 1e15, 1e16, 1e16 + 2, 0.1 + 0.2, 0.3, float("nan")]),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(NUMBERS)
def test_numbers_as_levels_are_their_sorted_distinct_labels(numbers: list[float]) -> None:
    values = np.array(numbers)
    codes, levels = codes_of_numbers(values)
    distinct = sorted({x + 0.0 for x in numbers if x == x})
    # R: levels(factor(x)) has every label once, in numeric order.
    assert tuple(levels) == tuple(dict.fromkeys(map(number_label, distinct)))
    assert len(levels) == len(tuple(levels))
    for code, x in zip(codes.tolist(), numbers, strict=True):
        assert code == -1 if x != x else levels[code] == number_label(x + 0.0)


FACTOR = st.lists(st.tuples(st.integers(-1, 5), st.integers(-1, 5)), min_size=1, max_size=50)


@settings(max_examples=100, deadline=None)
@given(FACTOR)
def test_interaction_and_unused_levels_keep_every_row_s_label(rows: list[tuple[int, int]]) -> None:
    names = tuple("zyxwvu")
    a, b = (np.array(side, dtype=np.int32) for side in zip(*rows, strict=True))
    codes, levels = drop_unused(a, names)
    used = [name for k, name in enumerate(names) if (a == k).any()]
    assert tuple(levels) == tuple(used)
    assert [levels[c] if c >= 0 else None for c in codes] == [
        names[k] if k >= 0 else None for k in a
    ]
    codes, levels = interaction([(a, names), (b, names)])
    pairs = sorted({(i, j) for i, j in rows if i >= 0 and j >= 0})
    assert tuple(levels) == tuple(f"{names[i]}:{names[j]}" for i, j in pairs)
    for code, (i, j) in zip(codes.tolist(), rows, strict=True):
        missing = i < 0 or j < 0
        assert code == -1 if missing else levels[code] == f"{names[i]}:{names[j]}"


def test_a_fit_makes_labels_only_when_they_are_asked_for() -> None:
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(200) * 3, 4)
    data = pd.DataFrame({"y": rng.normal(size=200)[g // 3] + rng.normal(size=800), "g": g})
    fit = mx.lmer("y ~ 1 + (1 | g)", data)
    levels = fit.design.random[0].levels
    assert isinstance(levels, LazyLevels)
    assert levels._labels is None
    assert fit.ngroups == {"g": 200}
    assert fit.ranef["g"].index.tolist() == [str(3 * k) for k in range(200)]


def test_plain_frames_and_subclasses_are_read_alike() -> None:
    class Sub(pd.DataFrame):
        """A frame whose columns are had by ``data[name]`` only."""

    data = {
        "x": [1.5, None, 3.0],
        "i": [1, 2, 3],
        "s": ["b", None, "a"],
        "t": [True, False, True],
        "c": pd.Categorical(["u", "v", "u"], categories=["w", "v", "u"]),
        "n": pd.array([1, None, 3], dtype="Int64"),
    }
    plain, sub = read_columns(pd.DataFrame(data), list(data)), read_columns(Sub(data), list(data))
    for name in data:
        a, b = plain[name], sub[name]
        assert type(a) is type(b)
        assert a.kind == b.kind
        for field in ("values", "codes"):
            if hasattr(a, field):
                np.testing.assert_array_equal(getattr(a, field), getattr(b, field))
        if hasattr(a, "levels"):
            assert a.levels == b.levels
    assert plain["c"].levels == ("w", "v", "u")
    assert plain["s"].levels == ("a", "b")


def test_a_fit_does_not_change_with_the_callers_data() -> None:
    data = mx.load_dataset("sleepstudy")
    arrays = {
        "Reaction": data["Reaction"].to_numpy().copy(),
        "Days": data["Days"].to_numpy().copy(),
        "Subject": np.asarray(data["Subject"].astype(str)),
        "w": np.linspace(1, 2, 180),
    }
    fit = mx.lmer("Reaction ~ Days + (Days | Subject)", arrays, weights="w")
    kept = [fit.design.response.copy(), fit.design.X.copy(), fit.design.weights.copy()]
    for name in ("Reaction", "Days", "w"):
        arrays[name][:] = -1.0
    for now, then in zip(
        (fit.design.response, fit.design.X, fit.design.weights), kept, strict=True
    ):
        np.testing.assert_array_equal(now, then)
