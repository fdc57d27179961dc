"""Guards of the way that an action's request takes to its connection: a test must fail without each."""

from tests.mutants.mutant import guard

SHORT = "tests/http/test_short.py"
WAY = "http/short.py"

HTTP = (
    guard(
        "line_only_alone",
        "other requests go the pool's way",
        WAY,
        "line = self._taken(request) if ALONE in request.extensions else None",
        "line = self._taken(request)",
        SHORT,
    ),
    guard(
        "line_reserved",
        "what was taken is out of the reach of other threads",
        WAY,
        "line._state, line._expire_at = type(line._state).NEW, None",
        "pass",
        SHORT,
    ),
    guard(
        "line_surplus",
        "more connections than may be kept are closed",
        WAY,
        "if self._requests or len(self._connections) > 1:",
        "if self._requests:",
        SHORT,
    ),
    guard(
        "line_cancelled",
        "a cancellation that has come comes before the first byte",
        WAY,
        "            await anyio.lowlevel.checkpoint_if_cancelled()\n",
        "",
        SHORT,
    ),
    guard(
        "line_talkative",
        "an answer that nobody asked for is not the next one's",
        WAY,
        "if line._h11_state.trailing_data[0]:",
        "if line is None:",
        SHORT,
    ),
    guard("line_known", "a pool of another kind stays as it is", WAY, " and _core_of(kind) in _CORES", "", SHORT),
    guard(
        "line_one_server",
        "a connection is used for its own server",
        WAY,
        " or not line.can_handle_request(request.url.origin):",
        ":",
        SHORT,
    ),
    guard("line_expired", "what has ended is not used", WAY, "None if line.has_expired() else line", "line", SHORT),
    guard("line_mocked", "a mock is not left out", WAY, " or handler_of(self.outer) is not self.handler:", ":", SHORT),
    guard(
        "line_tracer",
        "who puts a method in the pool's place sees each request",
        WAY,
        "    return handler_of(kind.__bases__[-1]) if ours else found\n",
        "    return handler_of(kind.__bases__[-1]) if ours or issubclass(kind, _Short) else found\n",
        SHORT,
    ),
    guard(
        "line_passed_on",
        "who waits gets the connection that is free",
        WAY,
        """            self._below.close()
        finally:
            self._pool.pass_on()
""",
        """            self._below.close()
        finally:
            pass
""",
        SHORT,
    ),
    guard(
        "line_passed_on_after_failure",
        "who waits gets the connection of a request that has failed",
        WAY,
        """        except BaseException:
            self.pass_on()
            raise
""",
        """        except BaseException:
            raise
""",
        SHORT,
    ),
    guard(
        "line_unavailable",
        "a connection that another thread has taken sends the request the pool's way",
        WAY,
        """            response = line.handle_request(request)
        except self.unavailable:
""",
        """            response = line.handle_request(request)
        except StopIteration:
""",
        SHORT,
    ),
    guard(
        "line_readable",
        "what the server has ended is not used by a task",
        "http/onewrite.py",
        "return bool(poll.poll(0))",
        "return poll is None",
        SHORT,
    ),
    guard(
        "line_task_passed_on",
        "the task that waits gets the connection that is free",
        WAY,
        """        finally:
            await self._pool.pass_on()
""",
        """        finally:
            pass
""",
        SHORT,
    ),
    guard(
        "line_shielded", "a cancellation keeps no answer open", WAY, "CancelScope(shield=True)", "CancelScope()", SHORT
    ),
    guard(
        "line_own",
        "a transport of the caller's own stays as it is",
        "http/guard.py",
        'elif given.get("transport") is None:',
        "else:",
        SHORT,
    ),
)
