"""What the benchmarks share: the action they make, measuring rounds, bars and their report."""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MICRO = 1e6


def order(number: int) -> dict[str, Any]:
    """The request body of one action: an order of two lines, 16 fields, half a kilobyte."""
    return {
        "customer": 42,
        "cart": f"c-{number}",
        "currency": "EUR",
        "total": "59.97",
        "lines": [
            {"sku": "BOOK-0001", "name": "A book about durable software", "quantity": 2, "price": "19.99"},
            {"sku": "BOOK-0002", "name": "Another one, with more pages", "quantity": 1, "price": "19.99"},
        ],
        "address": {"name": "A. Customer", "street": "1 Long Street", "city": "Springfield", "country": "DE"},
        "note": "Leave it with the neighbours if nobody opens the door, and ring twice.",
    }


@dataclass(frozen=True)
class Bar:
    """One promise about speed, and whether it holds in this run."""

    what: str
    measured: float
    limit: float
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether it holds."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def __str__(self) -> str:
        """One line."""
        relation = "≥" if self.at_least else "≤"
        verdict = "ok  " if self.holds else "FAIL"
        return f"{verdict} {self.what}: {self.measured:.3f} (bar: {relation} {self.limit:g})"


def report(title: str, figures: dict[str, Any], bars: list[Bar], lines: list[str], *, as_json: bool) -> int:
    """Prints the results, and returns the exit status: 1 if a bar does not hold."""
    if as_json:
        facts = {
            "benchmark": title,
            "figures": figures,
            "bars": [asdict(bar) | {"holds": bar.holds} for bar in bars],
        }
        print(json.dumps(facts, indent=2))
    else:
        print("\n".join([title, *lines, "", *map(str, bars)]))
    return 0 if all(bar.holds for bar in bars) else 1


def parser(text: str | None) -> argparse.ArgumentParser:
    """A parser with the options that all benchmarks have."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", action="store_true", help="print figures and bars as JSON")
    made.add_argument("--quick", action="store_true", help="fewer repetitions: a glance, not a measurement")
    made.add_argument("--dir", type=Path, help="where the stores are made (default: the system's temporary directory)")
    return made


@contextmanager
def scratch(parent: Path | None) -> Iterator[Path]:
    """A directory for stores, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="samekey-bench-", dir=parent) as name:
        yield Path(name)


def placed(text: str, made: dict[str, str]) -> str:
    """The text with each section in its place, between `<!-- figures: NAME -->` and `<!-- end -->`."""
    for name, section in made.items():
        before, mark, rest = text.partition(f"<!-- figures: {name} -->\n")
        if mark:
            _, end, after = rest.partition("<!-- end -->")
            text = f"{before}{mark}{section}\n{end}{after}"
    return text


def disk(directory: Path, times: int = 50) -> float:
    """Median seconds of one fdatasync of a page that was written: what a durable commit costs here at least."""
    taken = []
    descriptor = os.open(directory / "fdatasync", os.O_CREAT | os.O_RDWR, 0o600)
    sync = getattr(os, "fdatasync", os.fsync)
    try:
        for number in range(times):
            os.pwrite(descriptor, os.urandom(4096), 4096 * number)
            before = time.perf_counter()
            sync(descriptor)
            taken.append(time.perf_counter() - before)
    finally:
        os.close(descriptor)
    return sorted(taken)[times // 2]


def machine(directory: Path) -> str:
    """A line about where this ran."""
    version = ".".join(map(str, sys.version_info[:3]))
    return f"Python {version}, {os.cpu_count()} cores, one fdatasync {disk(directory) * MICRO:.0f} µs"
