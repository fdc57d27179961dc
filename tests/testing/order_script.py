"""A script as users write them: it makes its own client, with a store of its own choice."""

import sys

import samekey

create_order = samekey.Operation("create_order", scope=("cart",), reference="/id")


def place(url: str, cart: str) -> str:
    with samekey.Client(url, provider="stripe-v1", store="orders.db") as client:
        with client.action(create_order, scope={"cart": cart}) as action:
            action.post("/orders", json={"cart": cart})
        print("placed", action.reference, flush=True)
        return action.reference


if __name__ == "__main__":
    for name in sys.argv[2:]:
        place(sys.argv[1], name)
