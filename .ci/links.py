"""Ask every address that the documentation, the profiles and the docstrings name, by `python3 .ci/links.py`.

Not part of .ci/run, which has no internet; run by hand, and by a workflow once a week. Ends with 1 if an address is gone.
Servers that refuse programs (401, 403, 405, 429) or fail for a moment are told and do not count: they do not say that
the page is gone.
"""

from __future__ import annotations

import re
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLACES = ("README.md", "CHANGELOG.md", "SECURITY.md", "docs/**/*.md", "src/**/*.py", "src/**/*.json", "pyproject.toml")
ADDRESS = re.compile(r"https?://[^\s<>\"'`)\]}|\\…]+")
OURS = re.compile(r"localhost|127\.0\.0\.1|\.example\b|\.internal\b|\{|//x\b|^https?://$|//[^/.]+(?:[:/]|$)")
GONE = {404, 410}
TIMEOUT_SECONDS = 30
WORKERS = 8


def addresses() -> dict[str, list[str]]:
    """Address → the files that name it, without those that are examples."""
    found: dict[str, list[str]] = {}
    for place in PLACES:
        for path in sorted(ROOT.glob(place)):
            for address in ADDRESS.findall(path.read_text(encoding="utf-8")):
                clean = address.rstrip(".,;:*").partition("#")[0]
                if not OURS.search(clean):
                    found.setdefault(clean, []).append(str(path.relative_to(ROOT)))
    return found


def fault(address: str) -> tuple[bool, str]:
    """Whether the address is gone, and what there is to tell, which is nothing where all is well."""
    request = urllib.request.Request(address, headers={"User-Agent": "Mozilla/5.0 (samekey's link check)"})  # noqa: S310 (http and https only)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310
            return False, ""
    except urllib.error.HTTPError as error:
        return error.code in GONE, f"HTTP {error.code}"
    except OSError as error:
        return "Name or service not known" in str(error), str(error)


def main() -> int:
    """Asks all; prints those with a fault, and how many there were."""
    found = addresses()
    with ThreadPoolExecutor(WORKERS) as pool:
        told = dict(zip(found, pool.map(fault, found), strict=True))
    gone = [address for address, (is_gone, _) in told.items() if is_gone]
    for address, (is_gone, what) in told.items():
        if what:
            print(f"{'GONE' if is_gone else 'look'}  {address}  {what}  ({', '.join(sorted(set(found[address])))})")
    print(f"{len(found)} addresses, {len(gone)} gone")
    return 1 if gone else 0


if __name__ == "__main__":
    sys.exit(main())
