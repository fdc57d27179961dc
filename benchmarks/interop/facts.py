"""What a server does with a key, asked without samekey: plain httpx, the same key, the effects counted."""

import threading
import time
import uuid
from typing import Any

import httpx

SLOW_SECONDS = 0.8
SETTLED_SECONDS = 1.5


def facts_of(url: str, key_header: str) -> dict[str, Any]:
    """Each fact as the statuses of the first and the second answer and the number of effects."""
    fresh_connections = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=url, timeout=10, limits=fresh_connections) as http:
        return {
            "again": twice(http, key_header, "well"),
            "other data": twice(http, key_header, "well", other=True),
            "while running": at_once(http, key_header),
            "after the client left": left(http, key_header),
            "after a 500": twice(http, key_header, "error after"),
            "after a crash": twice(http, key_header, "crash after"),
            "after a refusal": twice(http, key_header, "refuse"),
        }


def post(http: httpx.Client, key_header: str, key: str, body: dict[str, str], timeout: float = 10.0) -> tuple[int, str]:
    """Status and body; 0 where no answer came."""
    try:
        answer = http.post("/orders", json=body, headers={key_header: key}, timeout=timeout)
    except httpx.TransportError:
        return 0, ""
    return answer.status_code, answer.text


def count(http: httpx.Client, order: str) -> int:
    return sum(effect["order"] == order for effect in http.get("/effects").json()["effects"])


def fresh(plan: str) -> tuple[str, dict[str, str]]:
    key = str(uuid.uuid4())
    return key, {"order": f"raw {key}", "total": "1.00", "plan": plan}


def twice(http: httpx.Client, key_header: str, plan: str, *, other: bool = False) -> dict[str, Any]:
    key, body = fresh(plan)
    first = post(http, key_header, key, body)
    second = post(http, key_header, key, body | {"total": "2.00"} if other else body)
    return {"statuses": [first[0], second[0]], "effects": count(http, body["order"]), "same": first[1] == second[1]}


def at_once(http: httpx.Client, key_header: str) -> dict[str, Any]:
    """A second request while the first is running."""
    key, body = fresh("slow")
    answers: list[tuple[int, str]] = []
    one = threading.Thread(target=lambda: answers.append(post(http, key_header, key, body)))
    one.start()
    time.sleep(SLOW_SECONDS / 2)
    second = post(http, key_header, key, body)
    one.join()
    return {"statuses": [answers[-1][0], second[0]], "effects": count(http, body["order"])}


def left(http: httpx.Client, key_header: str) -> dict[str, Any]:
    """A second request after the client of the first hung up, and a third when all is over."""
    key, body = fresh("slow")
    post(http, key_header, key, body, timeout=SLOW_SECONDS / 2)
    second = post(http, key_header, key, body)
    time.sleep(SETTLED_SECONDS)
    third = post(http, key_header, key, body)
    return {"statuses": [second[0], third[0]], "effects": count(http, body["order"])}
