"""The model API: keys, effects and faults, without a socket.

`FlakyServer` puts it behind a real connection, `FaultTransport` behind httpx. It does no network
I/O itself; it may be called from any number of threads.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Hashable, Sequence
from email.utils import formatdate
from typing import Any, Literal, TypeVar, Unpack, overload
from urllib.parse import parse_qs

from samekey.testing._choice import Chaos, Match, Script
from samekey.testing._holds import AbortedError, Hold, Point
from samekey.testing._keys import Entry, KeyLayer
from samekey.testing._rules import Behaviour, Rules
from samekey.testing._values import (
    WRITE_METHODS,
    Commit,
    Delivery,
    Headers,
    Reply,
    Wire,
    find_header,
    path_of,
)
from samekey.testing.faults import LOST_REPLIES, Exchange, Fault
from samekey.testing.ledger import Effect, Ledger, Seen

K = TypeVar("K", bound=Hashable)

EFFECTS_PATH = "/effects"


class ModelAPI:
    """A small API with an effect ledger, idempotency keys and faults on demand.

    `POST /orders` answers 201 `{"id": "order_1", "data": <the JSON body>}`; PUT, PATCH and DELETE
    change the object at their path; `GET /orders/order_1` returns it. All four writes are effects.
    `GET /effects`, or `/effects?key=…`, lists the ledger as JSON, for other processes; it meets no
    fault and is not among `requests`.

    Args:
        keys: "honour" executes a key once and replays its answer; "ignore" executes every request.
        window: seconds after a key's first arrival at which it is forgotten; None: never.
        clock: the API's clock, in seconds since the epoch: windows, `Effect.at`, the Date header.
        key_header: the header that carries the key.
        latency: seconds that an effect takes, in which its key is in progress.
        on_mismatch: status of the answer to a known key with another method, target or body.
        in_progress: status of the answer to a key whose first request is still running.
        errors_stored: remember a `Fault.REJECT` under the key, and replay it.
        after_error: what the key means after `Fault.COMMIT_THEN_5XX`: "stored" replays the error,
            "released" forgets the key (a retry then doubles the effect), "kept_success" replays
            the success that happened.
        replay_header: name and value that mark a replayed answer; None: unmarked.
        seed: default seed of `chaos`.

    Raises:
        ValueError: an option has an impossible value.
    """

    on_request: Callable[[Seen], None] | None = None
    """Called with every request that arrived, before any effect, in the thread that serves it.
    An exception that it raises ends that request."""

    def __init__(self, **behaviour: Unpack[Behaviour]) -> None:
        self._rules = Rules(**behaviour)
        self._lock = threading.Lock()
        self._ledger = Ledger()
        self._keys = KeyLayer(self._rules)
        self._script = Script()
        self._chaos: tuple[Chaos, Literal["body", "key"]] | None = None
        self._requests: list[Seen] = []
        self._late: list[Seen] = []
        self._holds: tuple[Hold, ...] = ()
        self._closing = threading.Event()
        self._under_way = 0
        self._idle = threading.Condition(self._lock)

    # What a test asks

    @property
    def effects(self) -> list[Effect]:
        """All effects so far, in their order."""
        with self._lock:
            return list(self._ledger.effects)

    def effects_for(self, key: str) -> list[Effect]:
        """Return the effects that requests with this idempotency key had."""
        return [effect for effect in self.effects if effect.key == key]

    @property
    def requests(self) -> list[Seen]:
        """All requests that reached the API so far, in order of arrival."""
        with self._lock:
            return list(self._requests)

    @overload
    def duplicates(self) -> dict[bytes, int]: ...
    @overload
    def duplicates(self, by: Callable[[Effect], K]) -> dict[K, int]: ...
    def duplicates(self, by: Callable[[Effect], Any] | None = None) -> dict[Any, int]:
        """Count the effects of every business object that has more than one.

        Args:
            by: what names the business object of an effect; default: the body of its request.

        Returns:
            Business object → number of its effects. Empty is what one hopes for.
        """
        counts = collections.Counter(by(effect) if by else effect.body for effect in self.effects)
        return {thing: count for thing, count in counts.items() if count > 1}

    # What a test orders

    def script(self, *faults: Fault, method: str | None = None, path: str | None = None) -> None:
        """Let the next matching requests meet these faults, one each; later ones go well again.

        Args:
            faults: in order; `Fault.NONE` lets one request through.
            method: only requests with this method; default: any write, so that look-ups pass.
            path: only requests with this path, without query.
        """
        for fault in faults:
            self._check_fault(fault)
        with self._lock:
            self._script.add(Match(method, path), faults)

    def chaos(
        self,
        rate: float,
        faults: Sequence[Fault] = LOST_REPLIES,
        *,
        seed: int | None = None,
        by: Literal["body", "key"] = "body",
    ) -> None:
        """Let every write meet a random fault with a given probability; replaces earlier chaos.

        The decision depends on the seed, on what the request is about and on how often that was
        seen, not on how requests interleave. A scripted fault comes first.

        Args:
            rate: probability of a fault, 0 to 1.
            faults: what may be met, each with the same probability.
            seed: default: the `seed` of the API.
            by: what a request is about: "body" (method, target and body: clients that use other
                keys meet the same faults) or "key" (the key; the body where there is none).

        Raises:
            ValueError: the rate is no probability, or there is no fault.
        """
        for fault in faults:
            self._check_fault(fault)
        chaos = Chaos(rate, faults, self._rules.seed if seed is None else seed)
        with self._lock:
            self._chaos = (chaos, by)

    @property
    def pending_faults(self) -> list[Fault]:
        """The scripted faults that no request has met yet."""
        with self._lock:
            return self._script.pending

    def clear_faults(self) -> None:
        """Forget script and chaos: everything goes well from here on."""
        with self._lock:
            self._script.clear()
            self._chaos = None

    def hold(
        self,
        where: Point = "before_effect",
        *,
        method: str | None = None,
        path: str | None = None,
        limit: int | None = None,
    ) -> Hold:
        """Hold requests in mid-flight until they are released.

        Use it as a context manager: `with server.hold() as held: held.wait_for(1); …`.

        Args:
            where: "before_effect": the request is being executed, its key is in progress, nothing
                has happened yet; answers without execution are not held. "before_reply": all is
                done and remembered, nothing was sent yet.
            method: only requests with this method; default: any write.
            path: only requests with this path, without query.
            limit: hold only so many; later ones pass.
        """
        hold = Hold(where, Match(method, path), limit, self._closing, self._remove_hold)
        with self._lock:
            self._holds = (*self._holds, hold)
        return hold

    def wait_idle(self, *, timeout: float = 10.0) -> None:
        """Wait until every request that arrived has been handled; an abandoned one takes its time.

        Args:
            timeout: seconds to wait.

        Raises:
            TimeoutError: some are still under way, held ones included.
        """
        with self._idle:
            if not self._idle.wait_for(lambda: self._under_way == 0, timeout):
                raise TimeoutError(f"{self._under_way} requests are still under way after {timeout} s")

    def run_late(self) -> int:
        """Execute the requests that met `Fault.EXECUTE_LATE`; return how many those were.

        They pass the key layer like any other request: where keys are honoured and the key was
        used meanwhile, nothing happens a second time.
        """
        with self._lock:
            late, self._late = self._late, []
            for seen in late:
                claimed = self._keys.claim(seen, self._rules.clock())
                if not isinstance(claimed, Reply):
                    self._commit(seen, claimed)
        return len(late)

    def forget_keys(self) -> None:
        """Forget every key, as if all windows had closed."""
        with self._lock:
            self._keys.forget_all()

    # What an adapter calls

    def next_fault(self, method: str, target: str, headers: Headers, body: bytes) -> Fault:
        """Return what this request meets, and remove it from the script."""
        path = path_of(target)
        if path == EFFECTS_PATH and method == "GET":
            return Fault.NONE
        with self._lock:
            fault = self._script.take(method, path)
            if fault is not None:
                return fault
            if self._chaos is None or method not in WRITE_METHODS:
                return Fault.NONE
            chaos, by = self._chaos
            key = find_header(headers, self._rules.key_header) if by == "key" else None
            subject = f"{method} {target}\n".encode() + body if key is None else key.encode()
            return chaos.draw(subject)

    def handle(self, method: str, target: str, headers: Headers, body: bytes, fault: Fault) -> Delivery:
        """Handle one complete request.

        Args:
            method: upper case.
            target: path and query, or an absolute URL.
            headers: name and value pairs.
            body: without transfer coding.
            fault: what `next_fault` said.

        Returns:
            What is to be done on the wire.
        """
        if method == "GET" and path_of(target) == EFFECTS_PATH:
            return Delivery(Wire.ANSWER, self._dated(self._list_effects(target)))
        with self._lock:
            key = find_header(headers, self._rules.key_header)
            seen = Seen(len(self._requests) + 1, method, target, headers, body, key, fault)
            self._requests.append(seen)
            self._under_way += 1
        try:
            return self._serve(seen)
        finally:
            with self._lock:
                self._under_way -= 1
                self._idle.notify_all()

    def abort(self) -> None:
        """End what is under way, without effect or reply; later requests end likewise."""
        self._closing.set()
        for hold in self._holds:
            hold.wake()

    def resume(self) -> None:
        """Serve again after `abort`."""
        self._closing.clear()

    # The way of one request

    def _serve(self, seen: Seen) -> Delivery:
        if self.on_request is not None:
            self.on_request(seen)
        reply = self._answer(seen)
        self._park("before_reply", seen)
        return seen.fault.deliver(None if reply is None else self._dated(reply))

    def _answer(self, seen: Seen) -> Reply | None:
        fault = seen.fault
        if fault.forgets_key:
            with self._lock:
                self._keys.forget(seen.key)
        if fault.commit is Commit.NEVER:
            return self._refuse(seen)
        if fault.commit is Commit.LATE:
            with self._lock:
                self._late.append(seen)
            return None
        if seen.method in WRITE_METHODS:
            genuine = self._execute(seen)
        else:
            with self._lock:
                genuine = self._ledger.read(seen.path)
        return fault.answer(Exchange(genuine, self._rules.clock()))

    def _refuse(self, seen: Seen) -> Reply | None:
        now = self._rules.clock()
        reply = seen.fault.answer(Exchange(None, now))
        if reply is None or not (seen.fault.by_app and self._rules.errors_stored):
            return reply
        with self._lock:
            claimed = self._keys.claim(seen, now)
            if isinstance(claimed, Reply):
                return claimed
            if claimed is not None:
                self._keys.settle(claimed, reply)
            return reply

    def _execute(self, seen: Seen) -> Reply:
        with self._lock:
            claimed = self._keys.claim(seen, self._rules.clock())
        if isinstance(claimed, Reply):
            return claimed
        try:
            self._park("before_effect", seen)
            self._take_time()
            with self._lock:
                return self._commit(seen, claimed)
        except BaseException:
            if claimed is not None:
                with self._lock:
                    self._keys.release(claimed)
            raise

    def _commit(self, seen: Seen, entry: Entry | None) -> Reply:
        """Let the effect happen and remember its answer, as one step."""
        now = self._rules.clock()
        success = self._ledger.record(seen, now)
        if entry is None:
            return success
        failure = seen.fault.answer(Exchange(success, now)) if seen.fault.by_app else None
        self._keys.settle(entry, success, failure)
        return success

    def _take_time(self) -> None:
        if self._rules.latency:
            self._closing.wait(self._rules.latency)
        if self._closing.is_set():
            raise AbortedError

    def _park(self, where: Point, seen: Seen) -> None:
        for hold in self._holds:
            hold.park(where, seen)

    def _remove_hold(self, hold: Hold) -> None:
        with self._lock:
            self._holds = tuple(other for other in self._holds if other is not hold)

    def _dated(self, reply: Reply) -> Reply:
        return reply.with_headers(("Date", formatdate(self._rules.clock(), usegmt=True)))

    def _list_effects(self, target: str) -> Reply:
        wanted = parse_qs(target.partition("?")[2]).get("key")
        effects = self.effects_for(wanted[0]) if wanted else self.effects
        return Reply.json(200, {"effects": [effect.as_json() for effect in effects]})

    def _check_fault(self, fault: Fault) -> None:
        """Raise ValueError if the adapter cannot do this; the model can do all."""
