"""The contenders of `duplicates.py`: one class per way to make a POST safe, as its own documentation shows it.

All get five attempts, wait next to nothing between them, and write into the same file what they were told.
"""

import uuid
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import httpx
from _faulty import Kind

ATTEMPTS = 5
TIMEOUT = httpx.Timeout(5)
LEASE_SECONDS = 0.02
"""For those whose claims expire: so short that no rerun finds the claim of a killed script still held."""


class Script(Protocol):
    """Makes orders."""

    def make(self, number: int, total: str) -> str:
        """Makes one order and returns its reference."""

    def close(self) -> None:
        """Lets go of everything."""


def order(number: int, total: str) -> dict[str, Any]:
    return {"order": f"order-{number:06}", "total": total, "currency": "EUR"}


def derived(number: int) -> str:
    """The same key in every run, as an author would make it."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"create_order {number}"))


def fresh(number: int) -> str:
    del number
    return str(uuid.uuid4())


def _again(error: BaseException) -> bool:
    """What a careful author retries: all but a refusal."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code >= 500
    return isinstance(error, (httpx.TransportError, ValueError))  # ValueError: the body is not JSON


class Tenacity:
    """httpx under `tenacity.retry`; `key` is asked once per action, or, with `each_time`, for every attempt."""

    def __init__(self, url: str, key: Callable[[int], str], *, each_time: bool = False) -> None:
        import tenacity

        self.client = httpx.Client(base_url=url, timeout=TIMEOUT, verify=False)
        self.key = key
        self.each_time = each_time

        @tenacity.retry(
            retry=tenacity.retry_if_exception(_again),
            wait=tenacity.wait_fixed(0.001),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            reraise=True,
        )
        def post(number: int, total: str, key: str | None) -> str:
            headers = {"Idempotency-Key": key or self.key(number)}
            response = self.client.post("/orders", json=order(number, total), headers=headers)
            return str(response.raise_for_status().json()["id"])

        self.post: Callable[[int, str, str | None], str] = post

    def make(self, number: int, total: str) -> str:
        return self.post(number, total, None if self.each_time else self.key(number))

    def close(self) -> None:
        self.client.close()


class Urllib3:
    """urllib3 with POST among `Retry`'s allowed methods, 5xx among its statuses, and one key per action and run."""

    def __init__(self, url: str) -> None:
        import urllib3

        retry = urllib3.Retry(total=ATTEMPTS - 1, allowed_methods={"POST"}, status_forcelist=range(500, 600))
        self.pool = urllib3.PoolManager(retries=retry, timeout=5.0)
        self.url = url

    def make(self, number: int, total: str) -> str:
        headers = {"Idempotency-Key": fresh(number)}
        response: Any = self.pool.request("POST", self.url + "/orders", json=order(number, total), headers=headers)
        if response.status >= 400:
            raise RuntimeError(response.status)
        return str(response.json()["id"])

    def close(self) -> None:
        self.pool.clear()


class HttpxRetries:
    """httpx-retries that may retry a POST and a 5xx, with one key per action and run."""

    def __init__(self, url: str) -> None:
        import httpx_retries

        retry = httpx_retries.Retry(total=ATTEMPTS - 1, allowed_methods=["POST"], status_forcelist=range(500, 600))
        transport = httpx_retries.RetryTransport(httpx.HTTPTransport(verify=False), retry=retry)
        self.client = httpx.Client(base_url=url, timeout=TIMEOUT, transport=transport)

    def make(self, number: int, total: str) -> str:
        headers = {"Idempotency-Key": fresh(number)}
        response = self.client.post("/orders", json=order(number, total), headers=headers)
        return str(response.raise_for_status().json()["id"])

    def close(self) -> None:
        self.client.close()


class Stripe:
    """Stripe's SDK: its own retries, with the key it makes up per call or the one it is given."""

    def __init__(self, url: str, key: Callable[[int], str] | None = None) -> None:
        import stripe

        self.client = stripe.StripeClient("sk_test_1", base_addresses={"api": url}, max_network_retries=ATTEMPTS - 1)
        self.key = key

    def make(self, number: int, total: str) -> str:
        options: Any = {"idempotency_key": self.key(number)} if self.key else {}
        params: Any = {
            "amount": int(float(total) * 100),
            "currency": "eur",
            "metadata": {"order": f"order-{number:06}"},
        }
        return str(self.client.v1.payment_intents.create(params, options).id)

    def close(self) -> None:
        """Its sessions end with the process."""


class OpenAI:
    """OpenAI's SDK: its own retries. It sends no key."""

    def __init__(self, url: str) -> None:
        import openai

        self.client = openai.OpenAI(api_key="key", base_url=url, max_retries=ATTEMPTS - 1, timeout=5)

    def make(self, number: int, total: str) -> str:
        made: Any = self.client.chat.completions.create(
            model="gpt", messages=[{"role": "user", "content": total}], metadata={"order": f"order-{number:06}"}
        )
        return str(made.id)

    def close(self) -> None:
        self.client.close()


class Dbos(Tenacity):
    """dbos on SQLite: a workflow named by the action; its one step posts, is retried by dbos, and sends that name as the key."""

    def __init__(self, url: str, directory: Path) -> None:
        super().__init__(url, derived)
        from dbos import DBOS, DBOSConfig, SetWorkflowID

        config: DBOSConfig = {
            "name": "orders",
            "system_database_url": f"sqlite:///{directory / 'dbos.db'}",
            "log_level": "CRITICAL",
        }
        DBOS(config=config)

        @DBOS.step(retries_allowed=True, max_attempts=ATTEMPTS, interval_seconds=0.001, backoff_rate=1.0)
        def post(number: int, total: str) -> str:
            headers = {"Idempotency-Key": DBOS.workflow_id or ""}
            response = self.client.post("/orders", json=order(number, total), headers=headers)
            return str(response.raise_for_status().json()["id"])

        @DBOS.workflow()
        def create_order(number: int, total: str) -> str:
            return post(number, total)

        DBOS.launch()
        self.dbos: Any = DBOS
        self.named: Any = SetWorkflowID
        self.create_order: Callable[[int, str], str] = create_order

    def make(self, number: int, total: str) -> str:
        with self.named(derived(number)):
            return self.create_order(number, total)

    def close(self) -> None:
        self.dbos.destroy()
        super().close()


class Powertools(Tenacity):
    """Powertools for AWS Lambda: `idempotent_function` over a real Redis, around httpx, tenacity and a derived key.

    The key in the header is the author's: Powertools has none to give. Its payload validation is off: over Redis
    3.37.0 then refuses every repetition of a completed call, for the update drops the digest it compares with.
    """

    def __init__(self, url: str, directory: Path) -> None:
        super().__init__(url, derived)
        import redis
        from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
        from aws_lambda_powertools.utilities.idempotency.persistence.redis import CachePersistenceLayer

        self.redis = redis.Redis(unix_socket_path=str(directory / "redis.sock"))
        config = IdempotencyConfig(
            event_key_jmespath="order",
            expires_after_seconds=30 * 86_400,
            lambda_context=_Context(),  # type: ignore[arg-type]
        )

        @idempotent_function(
            data_keyword_argument="order", config=config, persistence_store=CachePersistenceLayer(client=self.redis)
        )
        def create_order(*, number: int, order: dict[str, Any]) -> str:
            return self.post(number, order["total"], derived(number))

        self.create_order: Callable[..., str] = create_order

    def make(self, number: int, total: str) -> str:
        return self.create_order(number=number, order=order(number, total))

    def close(self) -> None:
        self.redis.close()
        super().close()


class _Context:
    """The Lambda context that says how long a claim is held."""

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return int(LEASE_SECONDS * 1000)


class Justonce(Tenacity):
    """justonce over its SQLite ledger, around httpx and tenacity, with justonce's key in the header."""

    def __init__(self, url: str, directory: Path) -> None:
        super().__init__(url, derived)
        import justonce
        from justonce.stores.sqlite import SqliteStore

        self.key_of = justonce.operation_key
        self.store = SqliteStore(directory / "justonce.db")
        self.engine = justonce.Idempotent(self.store, ttl_seconds=LEASE_SECONDS)

    def make(self, number: int, total: str) -> str:
        key = self.key_of("create_order", number)
        result = self.engine.run(key, lambda: self.post(number, total, key), payload=order(number, total))
        return str(result.value)

    def close(self) -> None:
        self.store.close()
        super().close()


class Samekey:
    """samekey: the API's window declared, or `provider="keyless"`, as the API is; with `look_up`, a look-up too."""

    def __init__(self, url: str, directory: Path, kind: Kind, *, look_up: bool = False) -> None:
        import tenacity

        import samekey

        known: Any = {"provider": "keyless"} if kind is Kind.KEYLESS else {"window": timedelta(days=1)}
        policy = samekey.RetryPolicy(attempts=ATTEMPTS, wait=tenacity.wait_fixed(0.001), budget=None)
        store = directory / "samekey.db"
        self.client: Any = samekey.Client(url, store=store, retry=policy, timeout=TIMEOUT, verify=False, **known)
        self.operation = samekey.Operation(
            "create_order", scope=("order",), reference="/id", reconcile=self.find if look_up else None
        )

    @staticmethod
    def find(http: Any, record: Any) -> Any:
        """The API's own list, which shows an order as soon as it is made."""
        import samekey

        name = f"order-{int(record.scope['order']):06}"
        for effect in http.get("/effects").json()["effects"]:
            if name in effect["body"]:
                return samekey.Found(effect["reference"])
        return samekey.Absent("not in the list", consistent=True)

    def make(self, number: int, total: str) -> str:
        with self.client.action(self.operation, scope={"order": number}) as action:
            action.post("/orders", json=order(number, total))
        return str(action.reference)

    def close(self) -> None:
        self.client.close()


def said(error: Exception) -> str:
    """What an error tells the script: "may have happened", or no more than that it failed."""
    import samekey

    unsettled = samekey.OutcomeUnknownError | samekey.NeedsReviewError | samekey.ActionInProgressError
    return "may have happened" if isinstance(error, unsettled) else "failed"


Make = Callable[[str, Path, Kind], Script]

SCRIPTS: dict[str, Make] = {
    "httpx + tenacity, a new key per attempt": lambda url, _, __: Tenacity(url, fresh, each_time=True),
    "httpx + tenacity, key outside the loop": lambda url, _, __: Tenacity(url, fresh),
    "httpx + tenacity, derived key": lambda url, _, __: Tenacity(url, derived),
    "urllib3, Retry with POST": lambda url, _, __: Urllib3(url),
    "httpx-retries": lambda url, _, __: HttpxRetries(url),
    "stripe's SDK, its own key": lambda url, _, __: Stripe(url),
    "stripe's SDK, derived key": lambda url, _, __: Stripe(url, derived),
    "openai's SDK": lambda url, _, __: OpenAI(url),
    "dbos": lambda url, directory, _: Dbos(url, directory),
    "aws-lambda-powertools": lambda url, directory, _: Powertools(url, directory),
    "justonce": lambda url, directory, _: Justonce(url, directory),
    "samekey": Samekey,
    "samekey with a look-up": lambda url, directory, kind: Samekey(url, directory, kind, look_up=True),
}

PACKAGES = {
    "httpx + tenacity": ("httpx", "tenacity"),
    "urllib3": ("urllib3",),
    "httpx-retries": ("httpx-retries",),
    "stripe": ("stripe",),
    "openai": ("openai",),
    "dbos": ("dbos",),
    "aws-lambda": ("aws-lambda-powertools", "redis"),
    "justonce": ("justonce",),
    "samekey": ("samekey",),
}
"""Whose versions are told, by how a contender's name begins."""

warnings.filterwarnings("ignore", message="Disabling SSL")
