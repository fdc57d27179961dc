"""The tutorial, typed by a reader who does what it says: its files, its commands, its kills, and what it shows of them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.servers.redis import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial" / "first-action.md"
BLOCK = re.compile(
    r'^```(?P<kind>sh|text|python title="(?P<name>\w+\.py)")\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL
)
KILLED = re.compile(r"(?P<command>.+) & sleep 3; kill -9 \$!")
INSTALL = "python3 -m venv"  # the rest of that block needs a package index; the suite's own environment has it all
PATIENCE_SECONDS = 60


class Reader:
    """Follows the page in a folder of its own, with this test's Python and a port that is free."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.told = folder / "shop.log"
        self.shop: subprocess.Popen[bytes] | None = None
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("SAMEKEY_", "PYTEST_"))
        }
        self.environment |= {"PATH": path, "PYTHONUNBUFFERED": "1"}
        # All that the reader has is pytest and samekey; this environment has more plugins, which take their time.
        self.environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "samekey.pytest_plugin"}

    def localised(self, text: str) -> str:
        return text.replace("8700", str(self.port))

    def start(self, command: str, out: Path) -> subprocess.Popen[bytes]:
        with out.open("ab") as file:
            return subprocess.Popen(
                command.split(), cwd=self.folder, env=self.environment, stdout=file, stderr=subprocess.STDOUT
            )

    def orders(self) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/effects", timeout=5) as answer:
                return len(json.load(answer)["effects"])
        except OSError:
            return -1

    def until(self, orders: int) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while self.orders() != orders:
            assert time.monotonic() < end
            time.sleep(0.02)

    def types(self, block: str) -> str:
        """What the reader sees of a block of commands, the shop's lines included."""
        before = len(self.shop_says())
        out = self.folder / "seen.log"
        out.write_bytes(b"")
        command = self.localised(block.strip())
        if killed := KILLED.fullmatch(command):
            orders = self.orders() + 1
            script = self.start(killed["command"], out)
            self.until(orders)  # the moment that the page's three seconds are for
            script.send_signal(signal.SIGKILL)
            assert script.wait() == -signal.SIGKILL
        elif command.endswith(" &"):
            self.shop = self.start(command.removesuffix(" &"), self.told)
            self.until(0)
        elif command == "kill %1":
            assert self.shop is not None
            self.shop.terminate()
            self.shop.wait()
        else:
            self.start(command, out).wait(PATIENCE_SECONDS)
        self.until_the_shop_has_told()
        return "".join(self.shop_says()[before:]) + out.read_text(encoding="utf-8")

    def until_the_shop_has_told(self) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while self.orders() > len(self.shop_says()):
            assert time.monotonic() < end
            time.sleep(0.02)

    def shop_says(self) -> list[str]:
        lines = self.told.read_text(encoding="utf-8").splitlines(keepends=True) if self.told.exists() else []
        return [line for line in lines if line.endswith("\n")]  # a line may be on its way


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    if reader.shop is not None:
        reader.shop.kill()
        reader.shop.wait()


def test_the_tutorial_says_what_a_reader_sees_who_does_all_of_it(reader: Reader) -> None:
    blocks = list(BLOCK.finditer(PAGE.read_text(encoding="utf-8")))
    seen = ""
    shown = 0
    for block in blocks:
        if block["name"]:
            (reader.folder / block["name"]).write_text(reader.localised(block["text"]), encoding="utf-8")
        elif block["kind"] == "text":
            for line in block["text"].splitlines():
                pattern = ".*".join(re.escape(part) for part in line.split("…"))
                assert re.search(f"^{pattern}$", seen, re.MULTILINE), f"{line!r} is not in:\n{seen}"
            shown += 1
        elif not block["text"].startswith(INSTALL):
            seen = reader.types(block["text"])
            if "19.99 & sleep" in block["text"]:
                assert "19.99" in seen
            elif "list --store" in block["text"]:
                assert "1 in_flight" in seen

    assert shown == 7
    made = [line.split()[2] for line in reader.shop_says()]
    assert made == ["order_1", "order_2", "order_3"]  # two by the naive script, one with samekey


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/prove-your-script.md"])
def test_the_test_that_a_page_shows_holds_for_the_tutorials_script(reader: Reader, page: str) -> None:
    (script,) = (
        block["text"] for block in BLOCK.finditer(PAGE.read_text(encoding="utf-8")) if block["name"] == "order.py"
    )
    (reader.folder / "order.py").write_text(script, encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    test = next(block for block in blocks if "crash_at(" in block and "def test_" in block)
    (reader.folder / "test_order.py").write_text(test, encoding="utf-8")

    assert re.search(r"^[1-9]\d* passed", reader.types("python -m pytest -q test_order.py"), re.MULTILINE)
