"""`samekey review --web` as a program: how it starts, what it prints, how it ends."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import httpx
import pytest

from samekey.cli.app import run
from samekey.cli.web import serve as serve_module
from samekey.errors import UsageError
from tests.cli.desk import desk, put
from tests.cli.test_main import blocked

if TYPE_CHECKING:
    from samekey.stores import SQLiteStore

__all__ = ["desk"]


def test_it_prints_its_address_serves_it_and_ends_with_ctrl_c(desk: SQLiteStore) -> None:
    put(desk, "c-1")
    put(desk, "c-2", operation_name="send & mail")
    command = [sys.executable, "-m", "samekey.cli", "review", "--web", "--store", desk.location]
    child = subprocess.Popen(
        [*command, "--operation", "send & mail"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    told, ends = child.stdout.readline(), child.stdout.readline()
    (address,) = re.findall(r"http://127\.0\.0\.1:\d+/\S+", told)
    with httpx.Client(trust_env=False) as client:  # a connection that stays open holds up nothing
        shown = client.get(address).text
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    assert "c-2" in shown
    assert "c-1" not in shown
    assert "Ctrl-C ends it" in ends
    assert (child.returncode, err) == (130, "samekey: stopped.\n")
    with pytest.raises(httpx.ConnectError):
        httpx.get(address, trust_env=False)


def test_it_listens_on_this_machine_only() -> None:
    with serve_module.listen(None) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
        port = listener.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} of 127.0.0.1 cannot be had"):
            serve_module.listen(port)


def stop(*_: object, **__: object) -> None:
    """In place of the server: Ctrl-C at once."""
    raise KeyboardInterrupt


def test_the_port_is_the_one_that_was_named(
    desk: SQLiteStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("uvicorn.Server.run", stop)
    with serve_module.listen(None) as free:
        port = free.getsockname()[1]
    assert run(["review", "--web", "--port", str(port), "--store", desk.location]) == 130
    assert f"http://127.0.0.1:{port}/" in capsys.readouterr().out


def test_a_browser_is_opened_only_if_asked_and_no_other_user_sees_the_token(
    desk: SQLiteStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pages: list[tuple[str, str, int, int]] = []

    def look(address: str) -> bool:
        file = Path(unquote(urlsplit(address).path))
        file_mode, folder_mode = (stat.S_IMODE(os.stat(each).st_mode) for each in (file, file.parent))
        pages.append((address, file.read_text(), file_mode, folder_mode))
        return True

    monkeypatch.setattr("uvicorn.Server.run", stop)
    monkeypatch.setattr(webbrowser, "open", look)
    assert run(["review", "--web", "--store", desk.location]) == 130
    assert pages == []
    capsys.readouterr()
    assert run(["review", "--web", "--open", "--store", desk.location, "--operation", 'a"b']) == 130
    (address,) = re.findall(r"http://\S+", capsys.readouterr().out)
    ((opened, text, file_mode, folder_mode),) = pages
    assert urlsplit(address).path.strip("/") not in opened
    assert f'content="0;url={address}"' in text
    assert address.endswith("?operation=a%22b")
    assert (file_mode, folder_mode) == (0o600, 0o700)
    assert not Path(unquote(urlsplit(opened).path)).parent.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--port", "8000"], "add --web"),
        (["--open"], "add --web"),
        (["--web", "--json"], "leave out --check and --json"),
        (["--web", "--check"], "leave out --check and --json"),
        (["--web", "--port", "0"], "--port"),
        (["--web", "--port", "65536"], "--port"),
    ],
)
def test_a_wrong_call_is_one_sentence(
    desk: SQLiteStore, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["review", "--store", desk.location, *arguments]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_a_port_that_is_taken_is_one_sentence(desk: SQLiteStore, capsys: pytest.CaptureFixture[str]) -> None:
    with serve_module.listen(None) as listener:
        port = str(listener.getsockname()[1])
        assert run(["review", "--web", "--store", desk.location, "--port", port]) == 2
    assert "name another one, or leave --port out" in capsys.readouterr().err


def test_a_store_that_is_not_there_is_not_created(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["review", "--web", "--store", str(tmp_path / "none.db")]) == 3
    assert "no store at" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", ["jinja2", "starlette", "uvicorn"])
def test_without_the_extra_it_names_the_extra(missing: str) -> None:
    result = blocked(missing, arguments=["review", "--web"])
    assert result.returncode == 2
    assert result.stderr == 'samekey: the page needs more packages; run pip install "samekey[ui]".\n'


def test_the_other_commands_do_not_need_it() -> None:
    assert blocked("jinja2", "starlette", "uvicorn", arguments=["review", "--help"]).returncode == 0
