"""The caller's own names, and misspelt arguments."""

from __future__ import annotations

import subprocess
import sys
from types import FrameType

import pandas as pd
import pytest

import mixeff
from mixeff.errors import OptionError
from mixeff.model.names import calling_frame, data_name, variable_name
from mixeff.model.options import choose, closest, refuse_unknown

A_GLOBAL = object()


def caller() -> FrameType | None:
    return calling_frame()


def test_locals_come_before_globals() -> None:
    value = object()
    assert variable_name(value, caller()) == "value"
    assert variable_name(A_GLOBAL, caller()) == "A_GLOBAL"
    mine = A_GLOBAL
    assert variable_name(mine, caller()) == "mine"


def test_only_the_very_object_counts() -> None:
    first, second = [1.0], [1.0]
    assert variable_name(first, caller()) == "first"
    assert variable_name(second, caller()) == "second"
    assert variable_name([1.0], caller()) is None
    assert variable_name(first, None) is None


def test_of_two_names_for_one_object_the_one_in_the_call_counts() -> None:
    first = second = object()
    assert variable_name(second, caller()) == "second"
    assert variable_name(first, caller()) == "first"
    # The object is held under neither name where it is asked for: the first one bound.
    scope = {"variable_name": variable_name, "caller": caller}
    exec(
        "frames = {'a': [1.0]}\nold = frames['a']\nnew = old\n"
        "found = variable_name(new, caller())\nheld = variable_name(frames['a'], caller())",
        scope,
    )
    assert scope["found"] == "new"


def test_names_of_interactive_shells_are_passed_over() -> None:
    _ = _12 = shown = object()
    assert variable_name(shown, caller()) == "shown"
    assert _ is _12


def test_data_may_carry_its_name() -> None:
    holder = [pd.DataFrame({"x": [1]})]
    assert data_name(holder[0], caller()) == "data"
    holder[0].attrs["mixeff_name"] = "nlschools"
    assert data_name(holder[0], caller()) == "nlschools"
    frame = holder[0]
    assert data_name(frame, caller()) == "frame"


def test_nearest_name() -> None:
    known = ("weights", "reml", "na_action")
    assert closest("REML", known) == "reml"
    assert closest("naaction", known) == "na_action"
    assert closest("zzz", known) is None
    with pytest.raises(OptionError, match=r'lmer has no argument "wieghts"\. Did you mean "wei'):
        refuse_unknown("lmer", ["wieghts"], known)
    with pytest.raises(OptionError, match="It takes weights, reml, na_action"):
        refuse_unknown("lmer", {"zzz": 1}, known)
    refuse_unknown("lmer", [], known)
    with pytest.raises(OptionError, match=r'must be one of "a", "b", not 3'):
        choose("f", "kind", 3, ("a", "b"))


@pytest.mark.parametrize(
    "given", ["Kenward-Roger", "kenward_roger", "KENWARD ROGER", "kenward.roger"]
)
def test_words_are_known_whatever_their_case_and_hyphens(given: str) -> None:
    assert choose("f", "ddf", given, ("satterthwaite", "kenward-roger")) == "kenward-roger"


def test_every_public_name_is_listed_and_unknown_ones_are_not_there() -> None:
    assert {
        "lmer",
        "glmer",
        "glmer_nb",
        "anova",
        "aic",
        "bic",
        "lm_list",
        "load_dataset",
        "Control",
        "MixeffError",
        "__version__",
    } <= set(dir(mixeff))
    assert isinstance(mixeff.__version__, str)
    with pytest.raises(AttributeError, match="no attribute 'nlmer'"):
        mixeff.nlmer  # noqa: B018
    for name in mixeff.__all__:
        assert getattr(mixeff, name) is not None


def test_import_brings_in_nothing_heavy() -> None:
    code = (
        "import sys, mixeff; "
        "print([m for m in ('numpy', 'scipy', 'pandas', 'narwhals', 'matplotlib') "
        "if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_verb_brings_in_no_frames_and_no_optimizers() -> None:
    code = (
        "import sys, mixeff; mixeff.lmer; "
        "print([m for m in ('scipy.optimize', 'scipy.special', 'pandas', 'narwhals', "
        "'matplotlib') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
