"""Foreign exceptions, without what they know."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from samekey.errors import UsageError
from samekey.http.scrub import scrub
from samekey.http.summary import chain
from tests.http.conftest import attempt
from tests.http.servers import Peer, Server, refusing

Connect = Callable[..., Any]


def test_an_illegal_header_is_no_longer_quoted(connect: Connect) -> None:
    with Server(Peer.wait_for_end) as server:
        client = connect(base_url=server.url, auth=("user", "se\ncret"))
        request = client.build_request("POST", "/", headers={"X-Token": "se\ncret"}, json={"card": "se-cret"})
        error = attempt(client, request=request).error
    assert error is not None
    assert "cret" in str(error)
    assert scrub(error) is error
    text = "".join(traceback.format_exception(error)).replace(__file__, "")
    assert "Illegal header value" in text
    for link in chain(error):
        assert "cret" not in repr(link)
        assert "cret" not in repr(link.args)
    assert b"cret" not in pickle.dumps(error)


def test_the_request_of_an_exception_has_neither_headers_nor_body(connect: Connect) -> None:
    with refusing() as port:
        client = connect(base_url=f"http://127.0.0.1:{port}", auth=("user", "se-cret"))
        error: Any = attempt(client, "/?token=se-cret", json={"card": "se-cret"}).error
    scrub(error)
    assert error.request.method == "POST"
    assert error.request.headers == {}
    assert b"se-cret" not in pickle.dumps(error)
    assert b"se-cret" not in pickle.dumps(error.request)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_status_error_is_cleaned_with_its_response(module: Any) -> None:
    request = module.Request(
        "POST", "https://u:se-cret@h/?t=se-cret", headers={"Authorization": "se-cret"}, json="se-cret"
    )
    response = module.Response(500, request=request, headers={"Set-Cookie": "s=se-cret"}, json={})
    with pytest.raises(module.HTTPStatusError) as caught:
        response.raise_for_status()
    error: Any = scrub(caught.value)
    assert error.response.status_code == 500
    assert b"se-cret" not in pickle.dumps(error.response)
    assert error.request.headers == {}
    assert "se-cret" not in str(error)


def test_cycles_and_groups_come_to_an_end(module: Any) -> None:
    one, two = module.LocalProtocolError("Illegal header value b'se-cret'"), ValueError("mine: 'kept'")
    one.__cause__, two.__cause__ = two, one
    group = BaseExceptionGroup("several", [one, KeyboardInterrupt()])
    scrub(group)
    assert "se-cret" not in str(one)
    assert str(two) == "mine: 'kept'"


def test_foreign_exceptions_are_left_alone() -> None:
    error = RuntimeError("as: 'it' is")
    assert scrub(error) is error
    assert error.args == ("as: 'it' is",)


def test_a_status_error_over_an_answer_that_nobody_has_read_is_cleaned_too(module: Any) -> None:
    """As a response hook raises it."""
    request = module.Request("POST", "https://h/?t=se-cret", headers={"Authorization": "se-cret"})
    response = module.Response(400, request=request, stream=module.ByteStream(b"se-cret"))
    with pytest.raises(module.HTTPStatusError) as caught:
        response.raise_for_status()
    error: Any = scrub(caught.value)
    assert error.response.status_code == 400
    with pytest.raises(UsageError, match="was not read"):
        _ = error.response.content
    assert b"se-cret" not in pickle.dumps(error)
