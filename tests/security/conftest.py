"""The server, the store file and the clients of the tests of the client."""

from tests.client.conftest import connect, flavour, path, server

__all__ = ["connect", "flavour", "path", "server"]
