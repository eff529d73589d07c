"""Every packed data set equals the reference CSV it was made from."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest

from mixeff.datasets import describe_dataset, list_datasets, load_dataset
from mixeff.datasets.catalogue import _catalogue
from mixeff.errors import MixeffError, OptionError
from support.reference import load_frame

ASKED_FOR = [
    "nlschools",
    "sleepstudy",
    "Dyestuff",
    "Dyestuff2",
    "Penicillin",
    "Pastes",
    "cake",
    "cbpp",
    "grouseticks",
    "VerbAgg",
    "InstEval",
    "Orthodont",
    "Machines",
    "Oats",
    "Chem97",
    "Oxboys",
    "Rail",
    "ergoStool",
    "npk",
]
SAME_AS_REFERENCE = [name for name in list_datasets() if name != "Oats"]
SMALL = [name for name in list_datasets() if name not in ("InstEval", "Chem97")]


def test_every_set_asked_for_is_there():
    assert set(ASKED_FOR) <= set(list_datasets())


@pytest.mark.parametrize("name", SAME_AS_REFERENCE)
def test_equals_the_reference_csv(name, reference):
    expected = load_frame(_catalogue()[name]["stored"])
    # exact: the numbers are packed as the shortest text that reads back to the same float64
    pd.testing.assert_frame_equal(load_dataset(name), expected, check_dtype=False, check_exact=True)


@pytest.mark.parametrize("name", list_datasets())
def test_types(name):
    for column, dtype in load_dataset(name).dtypes.items():
        kind, _ = describe_dataset(name).columns[column]
        if isinstance(dtype, pd.CategoricalDtype):
            assert kind.startswith("ordered factor" if dtype.ordered else "factor")
        else:
            assert dtype == {"integer": np.int64, "numeric": np.float64}[kind]


def test_oats_is_that_of_nlme():
    oats = load_dataset("Oats")
    # R: levels(nlme::Oats$Block); levels(nlme::Oats$Variety); with(nlme::Oats,
    # tapply(yield, list(Block, Variety), sum)); with(nlme::Oats, tapply(yield, nitro, sum))
    assert list(oats["Block"].cat.categories) == ["VI", "V", "III", "IV", "II", "I"]
    assert oats["Block"].cat.ordered
    assert list(oats["Variety"].cat.categories) == ["Golden Rain", "Marvellous", "Victory"]
    assert not oats["Variety"].cat.ordered
    sums = oats.groupby(["Block", "Variety"], observed=True)["yield"].sum().unstack()
    assert sums.to_numpy().tolist() == [
        [361.0, 436.0, 358.0],
        [382.0, 341.0, 368.0],
        [347.0, 474.0, 330.0],
        [432.0, 380.0, 366.0],
        [453.0, 485.0, 349.0],
        [533.0, 519.0, 572.0],
    ]
    by_dose = oats.groupby("nitro")["yield"].sum()
    assert by_dose.to_dict() == {0.0: 1429.0, 0.2: 1780.0, 0.4: 2056.0, 0.6: 2221.0}
    assert list(oats.iloc[5]) == ["I", "Golden Rain", 0.2, 114.0]


def test_other_frame_types_hold_the_same():
    pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    for name in SMALL:
        frame = load_dataset(name)
        plain = frame.astype({c: str for c in frame if frame[c].dtype == "category"})
        for backend in ("polars", "pyarrow"):
            other = load_dataset(name, backend=backend).to_pandas()
            other = other.astype({c: str for c in other if other[c].dtype == "category"})
            pd.testing.assert_frame_equal(other, plain, check_dtype=False, check_exact=True)
        arrays = pd.DataFrame(load_dataset(name, backend="dict"))
        pd.testing.assert_frame_equal(arrays, plain, check_dtype=False, check_exact=True)


def test_pyarrow_keeps_level_order_and_orderedness():
    pytest.importorskip("pyarrow")
    table = load_dataset("cake", backend="pyarrow")
    assert table.schema.field("temperature").type.ordered
    assert not table.schema.field("recipe").type.ordered
    levels = table["temperature"].chunk(0).dictionary.to_pylist()
    assert levels == ["175", "185", "195", "205", "215", "225"]


def test_pandas_frame_knows_its_name():
    assert load_dataset("Rail").attrs["mixeff_name"] == "Rail"


def test_dict_needs_no_other_library(monkeypatch):
    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("mixeff.datasets.loading.import_module", refuse)
    rail = load_dataset("Rail", backend="dict")
    assert {name: array.dtype.kind for name, array in rail.items()} == {"Rail": "U", "travel": "f"}
    with pytest.raises(OptionError, match=r'needs pandas.*backend="dict"'):
        load_dataset("Rail")


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("nlschool", "nlschools"), ("dyestuff", "Dyestuff"), ("insteval", "InstEval")],
)
def test_unknown_name_tells_the_nearest(wrong, near):
    with pytest.raises(MixeffError, match=f"There is no data set '{wrong}'. Did you mean {near}"):
        load_dataset(wrong)
    with pytest.raises(ValueError, match=near):
        describe_dataset(wrong)


def test_unknown_backend_and_silly_name():
    with pytest.raises(OptionError, match="backend must be one of"):
        load_dataset("Rail", backend="spark")
    with pytest.raises(OptionError, match="There is no data set 3"):
        load_dataset(3)


def test_every_column_has_a_note():
    for name in list_datasets():
        described = describe_dataset(name)
        assert described.licence
        assert described.citation
        assert described.source
        assert all(len(note) > 2 for _, note in described.columns.values())
        assert described.title in " ".join(str(described).split())


def test_packed_files_are_small_and_complete():
    packed = {p.name: p for p in files("mixeff.datasets").joinpath("data").iterdir()}
    assert sorted(packed) == sorted(f"{name}.json.gz" for name in list_datasets())
    assert sum(len(p.read_bytes()) for p in packed.values()) < 1_000_000


def test_checksum_of_the_biggest():
    # sha256 over the seven columns of InstEval as int64 (factor codes 1-based as in R), in order:
    # Rscript -e 'library(lme4); writeBin(as.integer(unlist(lapply(InstEval, as.integer))),
    # "x.bin", size = 8, endian = "little")'; sha256sum x.bin
    frame = load_dataset("InstEval")
    columns = [
        frame[c].cat.codes.to_numpy(np.int64) + 1 if frame[c].dtype == "category" else frame[c]
        for c in frame
    ]
    digest = hashlib.sha256(np.concatenate(columns).astype("<i8").tobytes()).hexdigest()
    assert digest == "f007749179651b316a8758c333805455183b49b31957084514bcac58b1e6f2ab"
