"""What another user of the machine could do about the place of a store, and that it is private from the first byte."""

from __future__ import annotations

import ast
import os
import re
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from samekey.errors import StoreFormatError, StoreUnavailableError
from samekey.stores import SQLiteStore
from tests.stores import builders

if TYPE_CHECKING:
    from collections.abc import Callable

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")


def open_at(path: Path) -> None:
    store = SQLiteStore(path)
    try:
        store.secret(None)
        builders.claimed(store)
    finally:
        store.close()


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_nobody_else_can_ever_open_a_file_of_the_store(
    tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []

    def note(event: str, arguments: tuple[object, ...]) -> None:
        # Before each file or directory that is made: all that is there already.
        if (
            watching
            and event in {"open", "os.mkdir", "os.rename", "sqlite3.connect"}
            and str(tmp_path) in str(arguments[0])
        ):
            seen.extend((str(path), path.lstat().st_mode) for path in (tmp_path / "new").rglob("*"))

    watching = True
    sys.addaudithook(note)
    before = os.umask(umask)
    try:
        open_at(tmp_path / "new" / "samekey.db")
    finally:
        os.umask(before)
        watching = False
    seen += [(str(path), path.lstat().st_mode) for path in (tmp_path / "new").rglob("*")]
    assert {path.rpartition(".")[2] for path, _ in seen} >= {"db", "lock", "secret", "holders"}
    assert not [path for path, mode in seen if stat.S_IMODE(mode) & 0o077]
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    for name in ("samekey.db", "samekey.db.lock", "samekey.db.secret"):
        assert stat.S_IMODE((tmp_path / "new" / name).stat().st_mode) == 0o600


def test_a_directory_in_which_everybody_can_replace_files_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(StoreUnavailableError, match="every user of this machine can replace"):
        open_at(tmp_path / "samekey.db")
    assert not list(tmp_path.iterdir())
    tmp_path.chmod(0o1777)  # as /tmp is
    open_at(tmp_path / "samekey.db")


def test_a_store_with_two_names_is_refused(tmp_path: Path) -> None:
    open_at(tmp_path / "samekey.db")
    (tmp_path / "other.db").hardlink_to(tmp_path / "samekey.db")
    for name in ("samekey.db", "other.db"):
        with pytest.raises(StoreFormatError, match="2 names"):
            open_at(tmp_path / name)
    (tmp_path / "other.db").unlink()
    SQLiteStore(tmp_path / "samekey.db").secret(None)


@as_root
@pytest.mark.parametrize("which", ["directory", "file"])
def test_a_link_of_another_user_is_not_followed(tmp_path: Path, which: str) -> None:
    mine = tmp_path / "mine"
    mine.mkdir(0o700)
    link, target = (tmp_path / "link", mine) if which == "directory" else (tmp_path / "link.db", mine / "new.db")
    link.symlink_to(target)
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(StoreUnavailableError, match="symbolic link of another user"):
        open_at(link / "samekey.db" if which == "directory" else link)
    assert not list(mine.iterdir())

    os.chown(link, 0, 0, follow_symlinks=False)
    open_at(link / "samekey.db" if which == "directory" else link)


PARTS = [".lock", ".keeper", "-wal", "-shm", "-journal", ".secret", ".holders"]


def planted_link(path: Path) -> None:
    path.symlink_to(path.parent / "victim")


def planted_file(path: Path) -> None:
    path.write_bytes(b"")
    os.chown(path, NOBODY, NOBODY)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("plant", [planted_link, pytest.param(planted_file, marks=as_root)])
def test_what_was_planted_beside_the_store_is_not_used(
    tmp_path: Path, part: str, plant: Callable[[Path], None]
) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    plant(tmp_path / f"samekey.db{part}")
    with pytest.raises(StoreUnavailableError, match="which is a part of the store"):
        open_at(tmp_path / "samekey.db")
    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert not (tmp_path / "samekey.db").exists()


@as_root
def test_a_store_of_another_user_behind_a_link_of_ours_is_refused(tmp_path: Path) -> None:
    open_at(tmp_path / "theirs.db")
    os.chown(tmp_path / "theirs.db", NOBODY, NOBODY)
    (tmp_path / "link.db").symlink_to(tmp_path / "theirs.db")
    with pytest.raises(StoreUnavailableError, match="belongs to another user"):
        open_at(tmp_path / "link.db")


# --- SQL -----------------------------------------------------------------------------------------------------

STORES = sorted((Path(__file__).parents[2] / "src" / "samekey" / "stores").rglob("*.py"))
ALLOWED = {
    "PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    "PRAGMA busy_timeout = {BUSY_MS}",
    "PRAGMA busy_timeout = {(BUSY_TIMEOUT_MS if patient else 0)}",
    "PRAGMA user_version = {SCHEMA}",
}
"""Constants of ours: a pragma takes no parameters."""


def built_statements(tree: ast.AST) -> list[str]:
    """First arguments of `execute…` that are put together at the place of the call."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=name), args=[first, *_]) if name.startswith("execute"):
                match first:
                    case ast.Call(
                        func=ast.Attribute(
                            value=ast.Call(
                                func=ast.Attribute(value=ast.Name("sql"), attr="SQL"), args=[ast.Constant()]
                            ),
                            attr="format",
                        ),
                        args=parts,
                        keywords=[],
                    ) if all(ast.unparse(part).startswith("sql.Identifier(") for part in parts):
                        pass  # psycopg's own quoting of names
                    case ast.JoinedStr() | ast.BinOp() | ast.Call():
                        found.append(ast.unparse(first)[2:-1])
                    case _:
                        pass
            case _:
                pass
    return found


@pytest.mark.parametrize("path", STORES, ids=lambda path: path.name)
def test_no_statement_is_put_together_where_it_is_run(path: Path) -> None:
    assert not set(built_statements(ast.parse(path.read_text(encoding="utf-8")))) - ALLOWED


@pytest.mark.parametrize(
    "code",
    [
        'c.execute(f"x {y}")',
        'c.execute("x" + y)',
        'c.execute("x %s" % y)',
        'c.execute("{}".format(y))',
        'c.execute(sql.SQL("{}").format(sql.SQL(y)))',
        'c.execute(sql.SQL(f"{y}").format(sql.Identifier(y)))',
    ],
)
def test_the_search_for_built_statements_finds_them(code: str) -> None:
    assert built_statements(ast.parse(code))


def test_the_texts_of_statements_have_nothing_but_names_of_ours_in_them() -> None:
    # `_sql.py` builds them once, at import; what it puts in are its own constants.
    (path,) = (path for path in STORES if path.name == "_sql.py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.Lambda)]
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported == {"Final", "FIELDS"}


@pytest.mark.parametrize("path", STORES, ids=lambda path: path.name)
def test_no_place_in_a_statement_has_a_number(path: Path) -> None:
    """Before 3.12.4, Python 3.12 warns of each value that goes to one, and is stopped by `-W error`."""
    texts = [
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert not [text for text in texts if re.search(r"\?\d", text)]


@pytest.mark.parametrize("text", ["x'; DROP TABLE actions; --", 'x"; DELETE FROM actions', "%", "_", "\0", "é\u2028"])
def test_text_of_callers_stays_text(tmp_path: Path, text: str) -> None:
    store = SQLiteStore(tmp_path / "samekey.db")
    store.secret(None)
    row = builders.claimed(store, operation_name=text, actor_id=text, scope={text: text})
    assert store.find(operation_name=text, actor_id=text, origin=text) == []
    assert store.find(operation_name=text, actor_id=text) == [row]
    assert store.find(key_prefix=text) == []
    assert store.get(text) is None
    assert store.events(text) == []
    assert store.find() == [row]
    store.close()
