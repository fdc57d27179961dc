"""All parts of the contract, and the fixtures that they are asked with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Literal

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from samekey.stores import AsyncStore, Store
from samekey.testing._contract.blocking import Blocking
from samekey.testing._contract.claims import Claims, Duplicates, Renewals
from samekey.testing._contract.desk import Decisions, Purges
from samekey.testing._contract.loops import Loops
from samekey.testing._contract.searches import Facts, Searches
from samekey.testing._contract.settling import Settlements, Truth
from samekey.testing._contract.sharing import Sharing
from samekey.testing._contract.tasks import Tasks


class StoreContract(
    Facts, Claims, Duplicates, Renewals, Settlements, Truth, Decisions, Purges, Tasks, Searches, Sharing, Loops
):
    """What every store must do, whatever it is made of: the suite for a `Store` or an `AsyncStore` of your own.

    Make a subclass whose name begins with `Test` in a test file, and give it a fixture `make_store`. An `AsyncStore` is
    run on an event loop in another thread, under the same tests and some of its own. What is asserted is what is
    stored, not only what is answered. Needs pytest.

    Attributes:
        backend: the event loop on which an `AsyncStore` is run; trio must be installed for "trio".
        shares_data: whether the objects that `make_store` makes in one test share their data. A store that keeps its
            records in the object says False; the tests that need a second object are skipped then.
    """

    backend: Literal["asyncio", "trio"] = "asyncio"
    shares_data: bool = True

    @pytest.fixture
    def make_store(self) -> Callable[[], Store | AsyncStore]:
        """To be overridden: returns a function that makes a store object on the test's own, at first empty, data.

        Called again in the same test it makes a second object on the same data. The suite closes what it made.
        """
        pytest.fail(f"{type(self).__name__} needs a fixture make_store; see samekey.testing.StoreContract.")

    @pytest.fixture
    def another_store(self, make_store: Callable[[], Any]) -> Iterator[Callable[[], Store]]:
        """A function that makes one more store object on the test's data, as a `Store`, whichever kind it is."""
        with ExitStack() as stack:
            portal: BlockingPortal | None = None

            def make() -> Store:
                nonlocal portal
                made = make_store()
                if not hasattr(made, "aclose"):
                    stack.callback(made.close)
                    store: Store = made
                    return store
                if portal is None:
                    portal = stack.enter_context(start_blocking_portal(self.backend))
                blocking = Blocking(made, portal)
                stack.callback(blocking.close)
                return blocking

            yield make

    @pytest.fixture
    def store(self, another_store: Callable[[], Store]) -> Store:
        """A fresh store, opened."""
        store = another_store()
        store.secret(None)
        return store
