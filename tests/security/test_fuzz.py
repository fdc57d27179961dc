"""Whatever lies in a store or comes from a server: an answer or an error of ours, never a crash.

`SAMEKEY_FUZZ=100000` asks for more examples than a run at the desk.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from samekey._core.classify import Judgement, judge, replayed
from samekey._core.fingerprint import fingerprint, read_content
from samekey._core.freezing import unfreeze
from samekey._core.jsonplaces import blanked
from samekey._core.model import Frozen, Outgoing, Record, Reply, Result
from samekey._core.plan import Contract, Profile
from samekey._core.policy import wait_hint
from samekey._core.reading import reference_of, result_of, with_reference, withheld
from samekey._core.sealing import MARK, sealed_with
from samekey._core.window import skewed
from samekey.errors import StoreFormatError, UsageError
from samekey.http.library import HTTPX
from samekey.http.responses import rebuild
from samekey.providers import ProviderName, load
from samekey.stores import MemoryStore
from samekey.stores._codec import decode, encode
from samekey.stores._rows import FIELDS
from samekey.stores._vault import Vault
from tests.stores.builders import record

EXAMPLES = int(os.environ.get("SAMEKEY_FUZZ", "300"))
fuzzed = settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))

NOW = datetime(2026, 11, 24, 5, 10, tzinfo=UTC)
ROW = encode(record(MemoryStore(), response_headers=(("etag", "1"),), response_body=b"{}"))

cells = st.none() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=20) | st.booleans()
odd_json = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
odd_texts = odd_json.map(json.dumps)


@fuzzed
@given(st.dictionaries(st.sampled_from(range(len(FIELDS))), cells | odd_texts, min_size=1, max_size=4))
@example({FIELDS.index("scope"): "[" * 100_000})
@example({FIELDS.index("created_at"): float("nan")})
@example({FIELDS.index("created_at"): 1e300})
@example({FIELDS.index("response_headers"): '[["a"]]'})
@example({FIELDS.index("volatile"): "1"})
def test_a_row_is_a_record_or_an_error_of_ours(changes: dict[int, Any]) -> None:
    row = list(ROW)
    for index, value in changes.items():
        row[index] = value
    with suppress(StoreFormatError):
        assert isinstance(decode(row), Record)


@pytest.mark.parametrize("length", [0, 1, len(FIELDS) - 1, len(FIELDS) + 1])
def test_a_row_of_another_length_is_an_error_of_ours(length: int) -> None:
    with pytest.raises(StoreFormatError):
        decode([*ROW, None][:length])


heads = st.fixed_dictionaries(
    {},
    optional={
        "v": st.just(1) | odd_json,
        "method": odd_json,
        "url": odd_json,
        "headers": odd_json | st.lists(st.lists(st.text(max_size=3), min_size=2, max_size=2)),
        "body": odd_json,
        "kept": odd_json,
        "key": odd_json,
        "secret": odd_json | st.lists(st.lists(st.text(max_size=3)), min_size=2, max_size=2),
    },
).map(lambda head: json.dumps(head).encode())


@fuzzed
@given(st.binary(max_size=40) | heads, st.binary(max_size=10))
@example(b"[" * 100_000, b"")
@example(b"null", b"")
@example(MARK, b"")
@example(MARK + b"\xff", b"")
def test_a_frozen_request_is_read_or_refused(head: bytes, body: bytes) -> None:
    try:
        frozen = unfreeze(head + b"\n" + body)
    except StoreFormatError:
        return
    assert isinstance(frozen, Frozen)
    assert isinstance(frozen.complete, bool)


@fuzzed
@given(st.binary(max_size=40), st.text(max_size=40), st.binary(max_size=40) | st.none())
def test_what_looks_encrypted_is_opened_or_refused(frozen: bytes, text: str, body: bytes | None) -> None:
    store = MemoryStore()
    row = record(store, frozen_request=MARK + frozen, response_headers=(("samekey-sealed", text),), response_body=body)
    assert len(sealed_with(row)) == 2
    with pytest.raises(StoreFormatError):
        Vault("bmV3LWtleS1uZXcta2V5LW5ldy1rZXktbmV3LWtleS0=").opened(row)
    with pytest.raises(StoreFormatError):
        rebuild(HTTPX, row)


# --- answers -------------------------------------------------------------------------------------------------

NAMES = [
    "retry-after", "retry-after-ms", "date", "content-type", "content-length", "x-should-retry", "stripe-should-retry",
    "idempotent-replayed", "idempotency-replayed", "location", "x-amzn-errortype", "transient-error", "set-cookie", "",
]  # fmt: skip
VALUES = st.text(max_size=30) | st.sampled_from(
    [
        "9" * 5_000, "-1", "1e400", "nan", "inf", "٣", "0x10", "1_000", " 5 ", "5;q=1", "Fri, 31 Dec 9999 23:59:59 GMT",
        "Fri, 99 Dec 2026 23:59:59 GMT", "Tue, 24 Nov 2026 05:10:00 -9999", "Mon, 01 Jan 0001 00:00:00 +1400", "\0", "",
        "Tue, 24 Nov 2026 05:10:00 GMT\r\nX: 1", "application/json; charset=\udc80", "text/html",
    ]
)  # fmt: skip
headers = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=6).map(tuple)
answers = st.builds(
    Reply,
    st.integers(100, 599) | st.sampled_from([200, 201, 202, 303, 400, 409, 422, 429, 500, 503]),
    headers,
    st.binary(max_size=60) | odd_texts.map(lambda text: text.encode("utf-8", "replace")) | st.just(b"[" * 100_000),
    st.booleans(),
)
profiles = st.sampled_from([load(name).profile() for name in get_args(ProviderName)] + [Profile(name="generic")])


@fuzzed
@given(profiles, answers, st.booleans(), st.booleans())
def test_any_answer_has_a_meaning(rules: Profile, answer: Reply, alone: bool, json_sent: bool) -> None:
    judgement = judge(rules, Contract(), answer, alone=alone, json_sent=json_sent, now=NOW)
    assert isinstance(judgement, Judgement)
    assert judgement.hint is None or judgement.hint >= 0
    assert judgement.summary.isprintable()
    assert isinstance(replayed(rules, answer), bool)
    assert isinstance(skewed(answer.header("date"), NOW), bool)


@fuzzed
@given(headers)
def test_any_header_is_a_wait_or_none(fields: tuple[tuple[str, str], ...]) -> None:
    seconds = wait_hint(Reply(429, fields, b""), NOW)
    assert seconds is None or 0 <= seconds < float("inf")


@fuzzed
@given(answers, st.sampled_from(["/id", "/a/0", "/", "header:Location", "header:"]), st.booleans())
def test_any_answer_can_be_stored_and_comes_back(answer: Reply, where: str, whole: bool) -> None:
    reference = reference_of(answer, where)
    result = withheld(result_of(answer, reference, whole=whole), (where,))
    assert isinstance(result, Result)
    row = record(
        MemoryStore(), response_status=result.status, response_headers=result.headers, response_body=result.body
    )
    assert decode(encode(row)) == row
    with_reference(row, where, None)
    sayable = all(
        value.isascii() or value.encode("latin-1", "replace").decode("latin-1") == value
        for _, value in row.response_headers
    )
    if sayable:  # what a server sends has the characters of its bytes
        with suppress(UsageError):
            assert rebuild(HTTPX, row).status_code == answer.status


TYPES = st.sampled_from(
    ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "text/plain", "x/y+json"],
)  # fmt: skip


@fuzzed
@given(st.binary(max_size=60) | odd_texts.map(str.encode), TYPES | st.text(max_size=20))
@example(b"[" * 100_000, "application/json")
@example(b"--x\r\n--x--", "multipart/form-data; boundary=x")
def test_any_body_has_a_fingerprint(body: bytes, content_type: str) -> None:
    request = Outgoing(
        method="POST",
        url="https://x/",
        shown_url="https://x/",
        origin="https://x:443",
        body=body,
        content_type=content_type,
    )
    content = read_content(request)
    assert fingerprint(b"secret", request, content, ("/a", "/0/b")).fields
    assert blanked(body, ("/a", "/0")) is None or content.kind in {"json", "form", "multipart", "raw"}
