"""The server, the store file and the clients of the tests of the client."""

from tests.client.conftest import connect, path, server

__all__ = ["connect", "path", "server"]
