"""Who may talk to the review desk in the browser: over real sockets, with a client that lies as it likes."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from samekey._core.states import Status
from samekey.cli.web.forms import MOST_BYTES, Stamps
from samekey.cli.web.pages import STYLE_HASH
from tests.cli.desk import decisions, desk, now, put
from tests.cli.served import OURS, ada, address, fill, page, send, served, where

if TYPE_CHECKING:
    from samekey.stores import SQLiteStore

__all__ = ["ada", "address", "desk"]


def test_without_the_token_nothing_is_there(desk: SQLiteStore, address: str) -> None:
    row = put(desk, "c-1")
    parts = urlsplit(address)
    origin, token = f"http://{parts.netloc}", parts.path.strip("/")
    assert len(token) >= 43
    with httpx.Client(trust_env=False) as anybody:
        for path in ("/", "/favicon.ico", f"/{where(row)}", f"/{token[:-1]}/", f"/{token}x/", f"//{token}/", "/é/"):
            for method in ("GET", "POST"):
                response = anybody.request(method, f"{origin}{path}", headers=OURS)
                assert response.status_code == 404, path
                assert "create_order" not in response.text
                assert token not in response.text
                assert response.headers["cache-control"] == "no-store"
    assert httpx.get(address, trust_env=False).status_code == 200


def test_each_run_has_a_token_of_its_own(desk: SQLiteStore, address: str) -> None:
    with served(desk) as another:
        assert urlsplit(another).path != urlsplit(address).path


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1.evil.example:{port}", ""]
)
def test_a_name_that_was_rebound_to_this_machine_is_refused(ada: httpx.Client, host: str) -> None:
    port = ada.base_url.port
    assert ada.get("", headers={"Host": host.format(port=port)}).status_code == 403
    assert ada.get("", headers={"Host": f"localhost:{port}"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null", "Sec-Fetch-Site": "same-site"},
        {"Origin": "null", "Sec-Fetch-Site": "none"},
        {"Origin": "{here}", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_another_page_cannot_decide_even_if_it_knew_the_form(
    desk: SQLiteStore, address: str, headers: dict[str, str]
) -> None:
    row = put(desk, "c-1")
    here = f"http://{urlsplit(address).netloc}"
    with httpx.Client(base_url=address, trust_env=False) as client:
        form = fill(page(client, where(row)), "abandon")
        given = {name: value.format(here=here) for name, value in headers.items()}
        response = client.post(where(row), data=form, headers=given)
    assert response.status_code == 403
    assert "nothing was decided" in response.text
    assert now(desk, row) == row


@pytest.mark.parametrize("headers", [OURS, {"Origin": "{here}"}, {"Origin": "{here}", "Sec-Fetch-Site": "same-origin"}])
def test_a_page_of_the_desk_can(desk: SQLiteStore, address: str, headers: dict[str, str]) -> None:
    row = put(desk, "c-1")
    here = f"http://{urlsplit(address).netloc}"
    with httpx.Client(base_url=address, trust_env=False) as client:
        form = fill(page(client, where(row)), "abandon")
        given = {name: value.format(here=here) for name, value in headers.items()}
        assert client.post(where(row), data=form, headers=given).status_code == 303
    assert now(desk, row).status is Status.ABANDONED


@pytest.mark.parametrize(
    "change",
    [{"token": ""}, {"token": "é"}, {"token": "0" * 64}, {"ticket": "another"}, {"seen": "1.2.needs_review"}],
)
def test_a_form_that_the_desk_did_not_make_decides_nothing(
    desk: SQLiteStore, ada: httpx.Client, change: dict[str, str]
) -> None:
    row = put(desk, "c-1")
    form = fill(page(ada, where(row)), "abandon") | change
    assert "This form is not one of this desk" in send(ada, row, form, 403).text
    assert now(desk, row) == row
    assert decisions(desk, row) == []


def test_a_form_for_one_action_decides_no_other(desk: SQLiteStore, ada: httpx.Client) -> None:
    first, second = put(desk, "c-1"), put(desk, "c-2")
    send(ada, second, fill(page(ada, where(first)), "abandon"), 403)
    assert (now(desk, first), now(desk, second)) == (first, second)


def test_a_form_of_another_desk_decides_nothing(desk: SQLiteStore) -> None:
    row = put(desk, "c-1")
    assert not Stamps().fits(Stamps().make(row), row.idempotency_key)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_do_nothing(desk: SQLiteStore, ada: httpx.Client, method: str) -> None:
    row = put(desk, "c-1")
    assert ada.request(method, where(row)).status_code == 405
    assert ada.post("").status_code == 405
    assert now(desk, row) == row


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"decision=abandon", "text/plain", 415),
        (b"decision=abandon", "multipart/form-data", 415),
        (b"a=" + b"x" * MOST_BYTES, "application/x-www-form-urlencoded", 413),
        (b"a=1&" * 100, "application/x-www-form-urlencoded", 400),
        (b"\xff\x00%ff=%", "application/x-www-form-urlencoded", 403),
    ],
)
def test_what_is_no_form_decides_nothing(
    desk: SQLiteStore, ada: httpx.Client, body: bytes, kind: str, code: int
) -> None:
    row = put(desk, "c-1")
    response = ada.post(where(row), content=body, headers={"Content-Type": kind})
    assert response.status_code == code
    assert "Nothing was decided" in response.text
    assert now(desk, row) == row


def test_every_response_keeps_its_secrets_and_runs_nothing(desk: SQLiteStore, ada: httpx.Client) -> None:
    row = put(desk, "c-1")
    responses = [
        ada.get(""),
        ada.get(where(row)),
        ada.get("actions/none"),
        ada.put(""),
        ada.get("x"),
        ada.get("?status=lost"),
    ]
    assert [each.status_code for each in responses] == [200, 200, 404, 405, 404, 422]
    for response in responses:
        headers = response.headers
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "server" not in headers
        assert "set-cookie" not in headers
        policy = dict(each.split(" ", 1) for each in headers["content-security-policy"].split("; "))
        assert policy == {
            "default-src": "'none'",
            "style-src": f"'{STYLE_HASH}'",
            "img-src": "data:",
            "form-action": "'self'",
            "base-uri": "'none'",
            "frame-ancestors": "'none'",
        }
