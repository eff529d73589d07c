"""Measurements to a table: ratios, what was asked, and whether it is met."""

from __future__ import annotations

from statistics import median
from typing import Any

Row = dict[str, Any]
# A log-likelihood lower by no more than this is equal: both are rounded differently.
EQUAL, EQUAL_RELATIVE = 1e-7, 1e-12
# Megabytes: a smaller peak is free room of the allocators, in R's heap or in Python's.
JUDGED_MEMORY = 4.0


def better(results: list[Row] | None) -> Row | None:
    """The faster of several measurements of one program."""
    done = [r for r in results or [] if r.get("seconds")]
    return min(done, key=lambda r: median(r["seconds"])) if done else None


def digest(row: Row) -> Row:
    """The numbers of one row of the table."""
    ours, lme4 = better(row.get("mixeff")), better(row.get("lme4"))
    peers = {k: r for k, r in (row.get("peers") or {}).items() if r.get("seconds")}
    peer = min(peers, key=lambda k: median(peers[k]["seconds"])) if peers else None
    out: Row = {"case": row["case"], "title": row["title"], "asked": row["asked"]}
    out |= {"ours": _seconds(ours), "lme4": _seconds(lme4), "peer": peer}
    out["peer_seconds"] = _seconds(peers[peer]) if peer else None
    base = out["peer_seconds"] if row.get("against") == "peer" else out["lme4"]
    # Stopped after so many seconds: what it would have taken is more.
    out["lme4_bound"] = None if lme4 else _bound(row.get("lme4"))
    if base is None and row.get("against") != "peer":
        base = out["lme4_bound"]
    if ours and row["kind"] == "refit":
        base = median(ours["first_fit"])
    out["compared"] = base
    out["ratio"] = out["ours"] / base if out["ours"] and base else None
    out["threads"] = ours["threads"] if ours else None
    out["blas_threads"] = lme4["threads"] if lme4 else None
    out["evaluations"] = ours.get("evaluations") if ours else None
    out["lme4_evaluations"] = lme4.get("evaluations") if lme4 else None
    out["memory"] = ours.get("memory") if ours else None
    out["lme4_memory"] = lme4.get("memory") if lme4 else None
    out["loglik"] = ours["loglik"] if ours else None
    out["lme4_loglik"] = lme4["loglik"] if lme4 else None
    out["difference"] = _difference(ours, lme4)
    out["peer_difference"] = _difference(ours, peers[peer]) if peer else None
    out["lme4_nodes"] = row.get("lme4_nodes", 1)
    out["lower_than"] = [k for k, r in peers.items() if _lower(out["loglik"], _difference(ours, r))]
    out["lme4_failed"] = next((r["failed"] for r in row.get("lme4") or [] if "failed" in r), None)
    out["verdicts"] = _verdicts(row, out)
    return out


def _seconds(result: Row | None) -> float | None:
    return median(result["seconds"]) if result else None


def _bound(results: list[Row] | None) -> float | None:
    """Seconds all measurements of a program were given, where none was done in them."""
    given = [r.get("timeout") for r in results or []]
    return min(given) if given and all(given) else None


def _difference(ours: Row | None, other: Row | None) -> float | None:
    """How much higher our log-likelihood is; of many replicates, where it is least so."""
    if ours is None or other is None:
        return None
    if "logliks" in ours and "logliks" in other:
        pairs = zip(ours["logliks"], other["logliks"], strict=False)
        return min(float(a - b) for a, b in pairs)
    return float(ours["loglik"] - other["loglik"])


def _lower(loglik: float | None, difference: float | None) -> bool:
    """Whether our log-likelihood is lower by more than rounding."""
    if loglik is None or difference is None:
        return False
    return difference < -max(EQUAL, EQUAL_RELATIVE * abs(loglik))


def _verdicts(row: Row, out: Row) -> list[str]:
    """What is asked and not met; empty when everything is."""
    missed = [f"mixeff failed: {r['failed']}" for r in row["mixeff"] if "failed" in r][:1]
    if row["asked"] is not None and out["ratio"] is not None and out["ratio"] > row["asked"]:
        missed.append(f"time {out['ratio'] / row['asked']:.2g} times what is asked")
    slower = out["ours"] and out["peer_seconds"] and out["ours"] > out["peer_seconds"]
    if row.get("beats_peer") and slower:
        missed.append(f"{out['ours'] / out['peer_seconds']:.2g} times as long as {out['peer']}")
    # A batch holds the results of all its replicates, of which lme4 does fewer; of inference
    # nothing is asked but time, and its modules are loaded when it is first called.
    batch = row["kind"] in ("bootstrap", "inference")
    if out["memory"] is not None and out["lme4_memory"] is not None and not batch:
        share = out["memory"] / out["lme4_memory"] if out["lme4_memory"] else float("inf")
        if out["memory"] > JUDGED_MEMORY and share > 0.5:
            missed.append(f"memory {share:.2g} of lme4's")
    if _lower(out["loglik"], out["difference"]):
        missed.append("log-likelihood lower")
    missed += [f"log-likelihood lower than {name}'s" for name in out["lower_than"]]
    return missed


def agreements(rows: list[Row]) -> list[str]:
    """For each inference case, how far the numbers of both programs are apart."""
    lines = []
    for row in rows:
        ours, lme4 = better(row.get("mixeff")), better(row.get("lme4"))
        if not ours or not lme4 or not ours.get("answers") or not lme4.get("answers"):
            continue
        pairs = zip(ours["answers"], lme4["answers"], strict=True)
        apart = max(abs(a - b) / max(abs(a), abs(b), 1e-300) for a, b in pairs)
        lines.append(f"{row['title']}: numbers differ by {apart:.1e} of themselves at most.")
    return lines


def fraction(ratio: float | None) -> str:
    """1/x below one, else x."""
    if ratio is None:
        return "-"
    return f"1/{1 / ratio:.3g}" if ratio < 1 else f"{ratio:.3g}"


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}g}"


def times_table(rows: list[Row]) -> str:
    """Times and ratios."""
    header = [
        "case", "mixeff s", "lme4 s", "ratio", "asked", "met",
        "best Python peer", "peer s", "mixeff / peer",
    ]  # fmt: skip
    lines = [header]
    for d in map(digest, rows):
        against = d["ours"] / d["peer_seconds"] if d["ours"] and d["peer_seconds"] else None
        met = "; ".join(d["verdicts"]) or ("-" if d["ratio"] is None else "yes")
        lines.append([
            d["title"], _number(d["ours"]), _lme4_cell(d), _ratio_cell(d),
            fraction(d["asked"]), met, d["peer"] or "-", _number(d["peer_seconds"]),
            fraction(against),
        ])  # fmt: skip
    return markdown(lines)


def _ratio_cell(d: Row) -> str:
    """The ratio, or what it is below."""
    return ("below " if d["lme4_bound"] else "") + fraction(d["ratio"])


def _lme4_cell(d: Row) -> str:
    """Seconds, or why there are none."""
    if d["lme4_bound"]:
        return f"over {_number(d['lme4_bound'])}"
    if not d["lme4"]:
        return d["lme4_failed"] or "-"
    return _number(d["lme4"]) + ("" if d["lme4_nodes"] == 1 else f" (nAGQ = {d['lme4_nodes']})")


def fits_table(rows: list[Row]) -> str:
    """Evaluations, memory and log-likelihoods."""
    header = [
        "case", "evaluations", "lme4's", "peak MB above the data", "lme4's", "log-likelihood",
        "minus lme4's", "minus the peer's", "threads", "lme4's BLAS threads",
    ]  # fmt: skip
    return markdown([header, *(_fit_cells(digest(row)) for row in rows)])


def _fit_cells(d: Row) -> list[str]:
    return [
        d["case"], _number(d["evaluations"]), _number(d["lme4_evaluations"], 4),
        _number(d["memory"]), _number(d["lme4_memory"]),
        "-" if d["loglik"] is None else f"{d['loglik']:#.12g}",
        "-" if d["difference"] is None else f"{d['difference']:+.1e}",
        "-" if d["peer_difference"] is None else f"{d['peer_difference']:+.1e}",
        _number(d["threads"]), _number(d["blas_threads"]),
    ]  # fmt: skip


def markdown(rows: list[list[str]]) -> str:
    """A Markdown table with aligned columns."""
    rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(len(row[j]) for row in rows) for j in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) + " |" for r in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)
