"""What an import brings in, and what a missing extra says."""

from __future__ import annotations

import subprocess
import sys

import pytest

NEEDED = {
    # httpx and what it needs
    "anyio", "certifi", "h11", "httpcore", "httpx", "idna", "sniffio",
    # pydantic's
    "annotated_types", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection",
    # the other two
    "platformdirs", "tenacity",
}  # fmt: skip
FOREIGN = {
    # httpx takes these along by itself where they are installed
    "click", "h2", "hpack", "hyperframe", "markdown_it", "mdurl", "pygments", "rich", "socksio", "brotli", "brotlicffi",
    "zstandard",
    # httpcore and anyio, where trio is installed
    "attr", "attrs", "outcome", "sortedcontainers", "trio",
}  # fmt: skip
LOADED = (
    "{name.partition('.')[0] for name in sys.modules if not name.startswith('_sysconfigdata')}"
    " - set(sys.stdlib_module_names) - before"
)


def loaded(code: str, *, parts: bool = False) -> set[str]:
    """Modules that a statement brings into a fresh interpreter: top-level names, or the parts of samekey."""
    what = "{name for name in sys.modules if name.startswith('samekey.')}" if parts else LOADED
    program = f"import sys; before = {{name.partition('.')[0] for name in sys.modules}}\n{code}\nprint(*{what})"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    return set(said.stdout.split())


def test_import_samekey_alone_loads_nothing_else() -> None:
    assert loaded("import samekey") == {"samekey"}
    assert loaded("import samekey", parts=True) == set()


def test_a_client_loads_the_four_dependencies_and_no_extra() -> None:
    code = "import samekey; samekey.Client('http://x.example', window=__import__('datetime').timedelta(1))"
    names = loaded(code)
    assert {"httpx", "pydantic", "tenacity", "platformdirs"} <= names
    assert names - FOREIGN == NEEDED & names | {"samekey"}


def test_a_client_loads_no_command_line_no_kit_and_no_integration() -> None:
    code = "import samekey; samekey.Client('http://x.example', provider='keyless')"
    top = {".".join(name.split(".")[:2]) for name in loaded(code, parts=True)}
    assert "samekey.client" in top
    assert not top & {
        "samekey.cli", "samekey.contract_files", "samekey.integrations", "samekey.lookups", "samekey.pytest_plugin",
        "samekey.testing",
    }  # fmt: skip


def test_the_data_of_profiles_is_read_when_one_is_asked_for() -> None:
    code = (
        "import sys, datetime\n"
        "opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == 'open' else None)\n"
        "import samekey\n"
        "samekey.Client('http://x.example', window=datetime.timedelta(1))\n"
        "assert not [path for path in opened if path.endswith('.json')], opened\n"
        "samekey.Client('http://x.example', provider='stripe-v1')\n"
        "assert [path for path in opened if path.endswith('.json')]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


BLOCK = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""
EXTRAS = {"click", "rich", "typer", "jinja2", "starlette", "uvicorn", "stripe", "redis", "psycopg", "opentelemetry",
          "cryptography", "httpx2"}  # fmt: skip


def without(code: str, *blocked: str) -> subprocess.CompletedProcess[str]:
    program = BLOCK.format(blocked=set(blocked)) + code
    return subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, text=True)


def test_without_any_extra_everything_of_the_base_package_works() -> None:
    code = (
        "import samekey, samekey.testing, samekey.stores, samekey.lookups, samekey.contract_files\n"
        "for name in samekey.__all__: getattr(samekey, name)\n"
        "with samekey.testing.FlakyServer() as server, samekey.Client(server.url, provider='stripe-v1') as client:\n"
        "    with client.action('order', scope={'cart': 1}) as action: action.post('/orders', json={})\n"
        "print(action.status)\n"
    )
    ran = without(code, *EXTRAS)
    assert (ran.stdout.strip(), ran.stderr) == ("succeeded", "")


@pytest.mark.parametrize(
    ("code", "missing", "told"),
    [
        ("import samekey.cli; samekey.cli.main()", "typer", 'pip install "samekey[cli]"'),
        ("import samekey.cli; samekey.cli.main()", "rich", 'pip install "samekey[cli]"'),
        (
            "import sys, samekey.cli; sys.argv[1:] = ['review', '--web']; samekey.cli.main()",
            "starlette",
            'pip install "samekey[ui]"',
        ),
        ("import samekey.integrations.stripe", "stripe", "pip install stripe"),
    ],
)
def test_a_missing_extra_is_told_with_the_command_that_installs_it(code: str, missing: str, told: str) -> None:
    ran = without(code, missing)
    assert ran.returncode != 0
    assert told in ran.stderr
