"""Compares what was built with the tree: nothing of the package is missing, and nothing else came along.

python3 .ci/contents.py FOLDER_WITH_WHEEL_AND_SDIST
"""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
ROOTS = ("src", "tests", "docs", "benchmarks")
SINGLE = {"CHANGELOG.md", "LICENSE", "README.md", "mkdocs.yml", "pyproject.toml"}
GENERATED = {"PKG-INFO", ".gitignore"}  # what hatchling adds by itself


def tracked(*paths: str) -> set[str]:
    """Files of the tree, as Git has them."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard", *paths], capture_output=True, check=True
    )
    return {name for name in listed.stdout.decode().split("\0") if name and Path(name).exists()}


def compare(what: str, found: set[str], wanted: set[str]) -> bool:
    """Tells the difference; whether there is none."""
    for title, names in (("missing from", wanted - found), ("unexpected in", found - wanted)):
        for name in sorted(names):
            print(f"{title} the {what}: {name}", file=sys.stderr)
    return found == wanted


def main() -> int:
    """Compares both."""
    folder = Path(sys.argv[1])
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
    info = "-".join(wheel.name.split("-")[:2]) + ".dist-info"
    package = {name.removeprefix("src/") for name in tracked("src/samekey")}
    same = compare("wheel", in_wheel, package | {f"{info}/{name}" for name in METADATA})
    with tarfile.open(sdist) as archive:
        in_sdist = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    same &= compare("sdist", in_sdist - GENERATED, tracked(*ROOTS) | SINGLE)
    print(f"wheel: {len(in_wheel)} files, sdist: {len(in_sdist)} files")
    return not same


if __name__ == "__main__":
    sys.exit(main())
