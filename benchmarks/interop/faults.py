"""What is done to every server: faults, each with the data of one order, and what it tells about the server."""

from dataclasses import dataclass

from samekey.testing import Fault


@dataclass(frozen=True)
class Case:
    """One fault.

    Attributes:
        name: what happens, as the tables say it.
        plan: what the application does at its first execution (`orders.py`).
        wire: what a proxy between client and server does to the first request; None: no proxy.
        how: "once"; "impatient": the client waits for less than the handler takes; "killed": the client is killed as
            soon as the effect is there; "killed early": while the handler is running; "together": two machines at once;
            "other store": another machine with the same secret, later; "other data": that, with another total.
        review: the contract says `on_server_error="review"`.
        bare: of the server's answers the client knows nothing.
    """

    name: str
    plan: str = "well"
    wire: Fault | None = None
    how: str = "once"
    review: bool = False
    bare: bool = False


CASES = (
    Case("answer lost after the effect", wire=Fault.COMMIT_THEN_DROP),
    Case("connection reset after the effect", wire=Fault.COMMIT_THEN_RESET),
    Case("answer cut off", wire=Fault.TRUNCATE),
    Case("answer is not HTTP", wire=Fault.GARBAGE),
    Case("a proxy's page with status 200", wire=Fault.HTML_200),
    Case("JSON of the answer cut", wire=Fault.CUT_JSON),
    Case("a gateway's 502 after the effect", wire=Fault.COMMIT_THEN_5XX(502)),
    Case("request lost", wire=Fault.DROP_BEFORE),
    Case("slow handler, the client gives up and asks again meanwhile", plan="slow", how="impatient"),
    Case("client killed after the effect, run again at once", plan="slow after", how="killed"),
    Case("client killed before the effect, run again at once", plan="slow", how="killed early"),
    Case("two machines at once", plan="slow", how="together"),
    Case("another machine, later", how="other store"),
    Case("another machine, later, with other data", how="other data"),
    Case("500 before the effect", plan="error before"),
    Case("refused (402), asked again", plan="refuse"),
    Case("500 after the effect", plan="error after"),
    Case("the application crashes after the effect", plan="crash after"),
    Case("500 after the effect, contract says review", plan="error after", review=True),
    Case("crash after the effect, contract says review", plan="crash after", review=True),
    Case("two machines at once, answers not declared", plan="slow", how="together", bare=True),
    Case("another machine, other data, answers not declared", how="other data", bare=True),
)
