"""One mask over all variables, and what is said about the rows it leaves out."""

from __future__ import annotations

import numpy as np
import pytest

from mixeff.errors import DataError, OptionError
from mixeff.frames.missing import complete_rows, na_action


def mask(*rows: int, n: int = 6) -> np.ndarray:
    out = np.zeros(n, dtype=bool)
    out[list(rows)] = True
    return out


def test_one_mask_over_all_variables() -> None:
    got = complete_rows({"y": mask(1), "x": None, "g": mask(1, 4)}, 6, "omit")
    assert got.rows.tolist() == [0, 2, 3, 5]
    assert got.n_omitted == 2


def test_nothing_missing_needs_no_mask() -> None:
    got = complete_rows({"y": None, "x": mask()}, 6, "fail")
    assert got.mask is None
    assert got.rows.tolist() == list(range(6))
    assert got.n_omitted == 0


def test_fail_names_columns_counts_and_rows() -> None:
    with pytest.raises(DataError, match=r"g 2, y 1 \(first rows 1, 4, counted from 0\)"):
        complete_rows({"y": mask(1), "g": mask(1, 4)}, 6, "fail")


def test_no_complete_row_says_which_column() -> None:
    everything = mask(0, 1, 2, 3, 4, 5)
    with pytest.raises(DataError, match=r"of 6 rows are missing x 6, y 1\. Drop x"):
        complete_rows({"y": mask(1), "x": everything}, 6, "omit")
    with pytest.raises(DataError, match="for all of these together"):
        complete_rows({"y": mask(0, 1, 2), "x": mask(3, 4, 5)}, 6, "omit")


def test_actions_have_r_s_names_too() -> None:
    assert na_action("na.exclude") == "exclude"
    with pytest.raises(OptionError, match="na_action must be"):
        na_action("drop")
