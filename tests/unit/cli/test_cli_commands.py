"""The command line: what it prints, where, and what it answers to mistakes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mixeff import cli
from mixeff.datasets import list_datasets, load_dataset

FORMULA = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture
def sleep_csv(tmp_path):
    path = tmp_path / "sleep.csv"
    load_dataset("sleepstudy").to_csv(path, index=False)
    return str(path)


def run(capsys, *arguments):
    """Exit code, stdout, stderr of one command."""
    try:
        code = cli.main(list(arguments))
    except SystemExit as stop:  # argparse
        code = stop.code
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_fit_prints_the_summary(capsys, sleep_csv):
    code, out, err = run(capsys, "fit", sleep_csv, FORMULA)
    assert (code, err) == (0, "")
    assert f"Formula: {FORMULA}\n   Data: sleep\n" in out
    # R: summary(lmer(Reaction ~ Days + (Days | Subject), sleepstudy))
    assert "REML criterion at convergence: 1743.6" in out
    assert "Days          10.467      1.546   6.771" in out
    assert "Converged" in out.rstrip().split("\n")[-1]


def test_fit_by_maximum_likelihood_under_another_name(capsys, sleep_csv):
    code, out, _ = run(capsys, "fit", sleep_csv, FORMULA, "--ml", "--data-name", "sleepstudy")
    assert code == 0
    assert "Linear mixed model fit by maximum likelihood" in out
    assert "   Data: sleepstudy\n" in out
    # R: logLik(lmer(Reaction ~ Days + (Days | Subject), sleepstudy, REML = FALSE)) -875.9697
    assert "-876.0" in out


def test_fit_with_weights_and_offset(capsys, tmp_path):
    frame = load_dataset("sleepstudy")
    frame["w"] = 1 + frame["Days"] % 3
    frame["off"] = 2 * frame["Days"]
    path = tmp_path / "s.csv"
    frame.to_csv(path, index=False)
    options = ["--weights", "w", "--offset", "off"]
    code, out, _ = run(capsys, "fit", str(path), "Reaction ~ Days + (1 | Subject)", *options)
    assert code == 0
    # R: s <- sleepstudy; s$w <- 1 + s$Days %% 3; s$off <- 2 * s$Days
    #    summary(lmer(Reaction ~ Days + (1 | Subject), s, weights = w, offset = off))
    assert (
        " Subject  (Intercept) 1403     37.46   \n Residual             1640     40.50   \n"
    ) in out
    assert "Days          8.6774     0.8107   10.70" in out


def test_parquet_keeps_types(capsys, tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "cake.parquet"
    load_dataset("cake").to_parquet(path)
    code, out, _ = run(capsys, "fit", str(path), "angle ~ temperature + (1 | recipe:replicate)")
    assert code == 0
    assert "temperature.L" in out  # the ordered factor is still one


def test_csv_reads_missing_values_as_r_does(capsys, tmp_path):
    path = tmp_path / "m.csv"
    rows = [f"{i % 7 + i % 3},{'None' if i % 2 else 'null'},{i % 5}" for i in range(60)]
    path.write_text("\n".join(["y,f,g", *rows, "NA,None,1", ",null,2", "3,,2"]) + "\n")
    code, out, err = run(capsys, "fit", str(path), "y ~ f + (1 | g)")
    assert code == 0, err
    assert "Number of obs: 60, groups:  g, 5" in out
    assert "fnull" in out


def test_generalized_models(capsys, tmp_path):
    path = tmp_path / "cbpp.csv"
    load_dataset("cbpp").to_csv(path, index=False)
    formula = "cbind(incidence, size - incidence) ~ factor(period) + (1 | herd)"
    code, out, err = run(capsys, "fit", str(path), formula, "--family", "binomial")
    assert code == 0, err
    # the reference case cbpp_laplace
    assert " Family: binomial  ( logit )" in out
    assert "   194.1    204.2    -92.0    184.1       51 " in out
    code, out, _ = run(
        capsys,
        "fit",
        str(path),
        formula,
        "--family",
        "binomial",
        "--link",
        "probit",
        "--n-agq",
        "0",
    )
    assert code == 0
    assert " Family: binomial  ( probit )" in out
    assert "nAGQ = 0" in out


def test_unknown_family(capsys, sleep_csv):
    code, _, err = run(capsys, "fit", sleep_csv, FORMULA, "--family", "gausian")
    assert code == 1
    assert "'gausian'" in err
    assert "Did you mean 'gaussian'" in err


def test_mistakes_are_answered_in_sentences(capsys, sleep_csv, tmp_path):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "fake.parquet").write_text("no parquet")
    (tmp_path / "notes.txt").write_text("x")
    for arguments, sentence in [
        (("fit", sleep_csv, "Reaction ~ Dayz + (1 | Subject)"), "no column 'Dayz'"),
        (("fit", sleep_csv, "Reaction ~ Days + (1 | Subject"), "^"),
        (("fit", sleep_csv, "Reaction ~ Days"), "random"),
        (("fit", str(tmp_path / "no.csv"), FORMULA), "there is no file"),
        (("fit", str(tmp_path), FORMULA), "neither"),
        (("fit", str(tmp_path / "notes.txt"), FORMULA), "neither a .csv"),
        (("fit", str(tmp_path / "empty.csv"), FORMULA), "cannot be read as csv"),
        (("fit", str(tmp_path / "fake.parquet"), FORMULA), "cannot be read as parquet"),
        (("datasets", "nlschool"), "Did you mean nlschools?"),
    ]:
        code, out, err = run(capsys, *arguments)
        assert (code, out) == (1, ""), arguments
        assert err.startswith("mixeff: ")
        assert sentence in err
        assert "Traceback" not in err


def test_a_folder_named_like_a_file(capsys, tmp_path):
    (tmp_path / "x.csv").mkdir()
    code, _, err = run(capsys, "fit", str(tmp_path / "x.csv"), FORMULA)
    assert code == 1
    assert "is a folder" in err


def test_warnings_are_sentences_on_stderr(capsys, tmp_path):
    frame = load_dataset("sleepstudy")
    frame["twice"] = 2 * frame["Days"]
    path = tmp_path / "s.csv"
    frame.to_csv(path, index=False)
    code, out, err = run(capsys, "fit", str(path), "Reaction ~ Days + twice + (1 | Subject)")
    assert code == 0
    assert err.startswith("mixeff: warning: ")
    assert "twice" in err
    assert "twice" not in out.split("Fixed effects:")[1]


def test_datasets_lists_and_describes(capsys):
    code, out, _ = run(capsys, "datasets")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(list_datasets())
    code, out, _ = run(capsys, "datasets", "cake")
    assert code == 0
    assert "Licence:  GPL (>= 2)" in out
    assert "degrees F" in out


def test_version_and_wrong_command(capsys):
    code, out, _ = run(capsys, "--version")
    assert code == 0
    assert out.startswith("mixeff ")
    code, _, err = run(capsys, "fitt")
    assert code == 2
    assert "invalid choice" in err
    assert run(capsys)[0] == 2


def test_tutorial_prints_and_writes(capsys, tmp_path):
    code, out, _ = run(capsys, "tutorial", "--out", str(tmp_path / "t"))
    assert code == 0
    written = sorted(path.name for path in (tmp_path / "t").iterdir())
    assert {"tutorial.md", "tutorial.txt", "tutorial-classes.png"} <= set(written)
    text = (tmp_path / "t" / "tutorial.txt").read_text(encoding="utf-8")
    assert out.startswith(text)
    assert f"Written to {tmp_path / 't'}" in out


def test_tutorial_says_where_it_cannot_write(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run(capsys, "tutorial", "--out", str(tmp_path / "file" / "t"))
    assert code == 1
    assert str(tmp_path / "file") in err
    assert "Traceback" not in err


def test_help_starts_without_the_heavy_libraries():
    code = (
        "import sys, mixeff.cli\n"
        "try: mixeff.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'pandas', 'matplotlib', 'scipy'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "tutorial" in done.stdout


def test_a_reader_that_has_read_enough_is_no_fault():
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "mixeff.cli", "datasets"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.stderr == ""
    assert done.returncode == 141  # 128 + SIGPIPE
