"""Guards of what is secret, of the store's place, and of the signals: a test must fail without each."""

from tests.mutants.mutant import Edit, guard

ENCRYPTION = "tests/security/test_encryption.py"
PLACES = "tests/security/test_store_places.py"
BOMBS = "tests/security/test_bombs.py"
CANARIES = "tests/security/test_canaries.py"
OTEL = "tests/telemetry/test_otel.py"
STATS = "tests/cli/test_stats.py"
FILES = "stores/_files.py"

SECURITY = (
    guard(
        "sealed_request",
        "a frozen request is encrypted before it is stored",
        "stores/_vault.py",
        "return replace(claim, record=self.sealed(claim.record))",
        "return claim",
        ENCRYPTION,
    ),
    guard(
        "sealed_answer",
        "an answer is encrypted before it is stored",
        "stores/_vault.py",
        "if result is None or not (result.headers or result.body):",
        "if result is None or result:",
        ENCRYPTION,
    ),
    guard(
        "sealed_in_its_place",
        "what is encrypted belongs to one action and one part of it",
        "stores/_vault.py",
        "if not data.startswith(mine):",
        "if not data:",
        ENCRYPTION,
    ),
    guard(
        "sealed_without_a_key",
        "what is encrypted is not used by who has no key",
        "_core/sealing.py",
        "            raise locked(record.label if record.scope else record.operation_name, key_id)\n",
        "            pass\n",
        ENCRYPTION,
    ),
    guard(
        "place_planted_link",
        "a part of the store that is a link is not used",
        FILES,
        "(stat.S_ISLNK(beside.st_mode) or beside.st_uid != os.geteuid())",
        "(beside.st_uid != os.geteuid())",
        PLACES,
    ),
    guard(
        "place_second_name",
        "a database with two names is refused",
        FILES,
        "found.st_nlink > 1",
        "found.st_nlink > 9",
        PLACES,
    ),
    guard(
        "place_of_everybody",
        "a directory in which everybody replaces files is refused",
        FILES,
        "directory.st_mode & stat.S_IWOTH",
        "directory.st_mode & 0",
        PLACES,
    ),
    guard(
        "place_private",
        "a file is private from its first byte",
        FILES,
        "descriptor = os.open(path, flags | os.O_NOFOLLOW, PRIVATE_FILE)",
        "descriptor = os.open(path, flags | os.O_NOFOLLOW, 0o644)",
        PLACES,
    ),
    guard(
        "bomb_unpacked",
        "of what unpacks without end a bounded part is read",
        "http/bounded.py",
        "        if self._left < 0:\n            raise AnswerTooLongError\n",
        "",
        BOMBS,
    ),
    guard(
        "bomb_pieces",
        "no piece is unpacked that is larger than a few kilobytes",
        "http/bounded.py",
        "PIECE_BYTES: Final = 4096",
        "PIECE_BYTES: Final = 1 << 30",
        BOMBS,
    ),
    guard(
        "no_redirect",
        "a redirect takes no key and no body elsewhere",
        "http/bounded.py",
        "response = client.send(request, auth=auth, follow_redirects=False, stream=True)",
        "response = client.send(request, auth=auth, follow_redirects=True, stream=True)",
        BOMBS,
        # Behind it: what the library sends a second time of its own accord is stopped.
        Edit("http/watch.py", "if self.sends and self.status not in _REFUSED_IN_FRONT:", "if self.sends > 9:"),
    ),
    guard(
        "scrubbed_request",
        "no exception in the chain has the request",
        "http/scrub.py",
        "            _cut_request(link)\n",
        "",
        CANARIES,
    ),
    guard(
        "scrubbed_quotation",
        "no exception in the chain quotes a header",
        "http/scrub.py",
        "            _cut_quotation(link)\n",
        "",
        CANARIES,
    ),
    guard(
        "scrubbed_connection",
        "no exception in the chain has the password of the store's server",
        "stores/_postgres_errors.py",
        "    _forget_connections(error)\n",
        "",
        CANARIES,
    ),
    guard(
        "address_shown",
        "the address of the store's server is shown without its password",
        "stores/_postgres_address.py",
        "conninfo: str = field(repr=False)",
        "conninfo: str",
        CANARIES,
    ),
    guard(
        "span_has_no_key",
        "a span has a digest of the key",
        "telemetry/otel.py",
        "return hashlib.sha256(key.encode()).hexdigest()[:16]",
        "return key",
        OTEL,
    ),
    guard(
        "span_not_doubled",
        "an instrumented client makes no span of its own for an attempt",
        "telemetry/otel.py",
        "self.begin(span, **{HELD_BACK: True})",
        "self.begin(span)",
        OTEL,
    ),
    guard(
        "file_in_one_step",
        "a text file is replaced in one step",
        "cli/writing.py",
        "Path(name).replace(target)",
        'target.write_text(text, encoding="utf-8")',
        STATS,
    ),
    guard(
        "file_of_another_kind",
        "what is no file is not replaced by one",
        "cli/writing.py",
        "if target.exists() and not target.is_file():",
        "if not text:",
        STATS,
    ),
    guard(
        "effects_by_object",
        "one object of two actions is a duplicate",
        "stores/_counting.py",
        "GROUP BY 1, 2, 3 HAVING count(*) > 1\n",
        "GROUP BY 1, 2, 3 HAVING count(*) > 9\n",
        "tests/telemetry/test_tally.py",
    ),
)
