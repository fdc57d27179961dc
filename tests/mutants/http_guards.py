"""Guards of the way that an action's request takes to its connection: a test must fail without each."""

from tests.mutants.mutant import Edit, guard

SHORT = "tests/http/test_short.py"
SHARED = "tests/http/test_short_shared.py"
TOLD = "tests/http/test_short_told.py"
WAY = "http/short.py"

HANDING = "tests/http/test_handing.py"
LISTENING = "tests/http/test_listening.py"

HTTP = (
    guard(
        "line_only_alone",
        "other requests go the pool's way",
        WAY,
        "        if follower is None or follower.fresh:\n            return super().handle_request",
        "        if follower is not None and follower.fresh:\n            return super().handle_request",
        SHORT,
    ),
    guard(
        "line_reserved",
        "what was taken is out of the reach of other threads",
        WAY,
        "line._state, line._expire_at = type(line._state).NEW, None",
        "pass",
        SHARED,
    ),
    guard(
        "line_surplus",
        "more connections than may be kept are closed",
        WAY,
        "if self._requests or len(self._connections) > 1:",
        "if self._requests:",
        SHARED,
    ),
    guard(
        "line_cancelled",
        "a cancellation that has come comes before the first byte",
        WAY,
        "            await anyio.lowlevel.checkpoint_if_cancelled()\n",
        "",
        SHARED,
    ),
    guard(
        "line_talkative",
        "an answer that nobody asked for is not the next one's",
        WAY,
        "if line._h11_state.trailing_data[0]:",
        "if line is None:",
        SHARED,
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
        """            self._line._response_closed()  # noqa: SLF001 (as above)
        finally:
            _end_if_unasked(self._line)
            self._pool.pass_on()
""",
        """            self._line._response_closed()  # noqa: SLF001 (as above)
        finally:
            pass
""",
        SHARED,
    ),
    guard(
        "line_passed_on_after_failure",
        "who waits gets the connection of a request that has failed",
        WAY,
        "            line.close()\n        self.pass_on()\n",
        "            line.close()\n",
        SHARED,
    ),
    guard(
        "line_unavailable",
        "a connection that another thread has taken sends the request the pool's way",
        WAY,
        """        except self.unavailable:
            request.stream = leaving.below
""",
        """        except StopIteration:
            request.stream = leaving.below
""",
        SHARED,
    ),
    guard(
        "line_readable",
        "what the server has ended is not used by a task",
        "http/onewrite.py",
        "return bool(self._poll.poll(0))",
        "return self._poll is None",
        SHORT,
    ),
    guard(
        "line_task_passed_on",
        "the task that waits gets the connection that is free",
        WAY,
        """            _end_if_unasked(self._line)
            await self._pool.pass_on()
""",
        """            _end_if_unasked(self._line)
            pass
""",
        SHORT,
    ),
    guard(
        "line_shielded", "a cancellation keeps no answer open", WAY, "CancelScope(shield=True)", "CancelScope()", SHARED
    ),
    guard(
        "line_own",
        "a transport of the caller's own stays as it is",
        "http/guard.py",
        'elif given.get("transport") is None:',
        "else:",
        SHORT,
    ),
    guard(
        "line_told_out",
        "a request's body tells that it is out",
        WAY,
        "        self._follower.is_out()\n",
        "",
        TOLD,
    ),
    guard(
        "line_head_failed",
        "a head that was refused has not left",
        WAY,
        """            if not leaving.begun:
                follower.head_failed(error)
""",
        "",
        TOLD,
    ),
    guard(
        "line_body_begun",
        "what was begun is not called refused",
        WAY,
        """            if not leaving.begun:
                follower.head_failed(error)
""",
        "            follower.head_failed(error)\n",
        TOLD,
    ),
    guard(
        "line_vetoed",
        "a connection whose request must not leave is free again",
        WAY,
        "            line.close()\n        self.pass_on()\n",
        "            pass\n        self.pass_on()\n",
        TOLD,
    ),
    guard(
        "line_fresh",
        "a used connection is left alone if it will not do",
        WAY,
        "        if follower is None or follower.fresh:\n            return super().handle_request",
        "        if follower is None:\n            return super().handle_request",
        TOLD,
    ),
    guard(
        "line_fresh_task",
        "a used connection is left alone by a task if it will not do",
        WAY,
        "if follower is not None and not follower.fresh:",
        "if follower is not None:",
        TOLD,
    ),
    guard(
        "line_logged",
        "who reads httpcore's log gets it",
        WAY,
        " or self.log.isEnabledFor(logging.DEBUG):",
        ":",
        TOLD,
    ),
    guard(
        "line_last_look",
        "the short way has its last look",
        "http/watch.py",
        """        self._request.extensions.pop("trace", None)
        self._leaves()
""",
        """        self._request.extensions.pop("trace", None)
        self.sends += 1
""",
        TOLD,
    ),
    guard(
        "line_alive",
        "what the last look has stopped has not left",
        "http/watch.py",
        """        self.alive = True
        self._request.extensions.pop("trace", None)
        self._leaves()
""",
        """        self._request.extensions.pop("trace", None)
        self._leaves()
""",
        TOLD,
    ),
    guard(
        "line_stays",
        "what has gone another way was sent once",
        "http/watch.py",
        "        self.sends -= 1\n",
        "",
        TOLD,
    ),
    guard(
        "line_tracer_object",
        "who puts a method on the pool itself sees each request",
        "http/proof.py",
        "        and _HANDLING.isdisjoint(vars(transport._pool))  # noqa: SLF001\n",
        "",
        SHORT,
    ),
    guard(
        "line_proof_kept",
        "a proof counts for what it was made of",
        "http/proof.py",
        "if all(map(is_, found, _native.get((client, transport, pool), _UNKNOWN))):",
        "if (client, transport, pool) in _native:",
        SHORT,
    ),
    guard(
        "line_taken_and_seen",
        "an interruption lets go of what was just taken",
        WAY,
        "            leaving.line = line  # first, so that an interruption lets go of it\n",
        "",
        TOLD,
        Edit(
            WAY,
            "        return True\n\n    def _let_go",
            "        leaving.line = line\n        return True\n\n    def _let_go",
        ),
    ),
    guard(
        "line_no_circle",
        "a response lets go of the stream that held it",
        "http/bounded.py",
        "            response.stream = _nothing_more(self._module)\n",
        "            pass\n",
        "tests/client/test_garbage.py",
    ),
    guard(
        "listening_unasked",
        "what has come unasked is not the next request's answer",
        "http/onewrite.py",
        "            if self._has_come():\n                return True\n",
        "",
        LISTENING,
    ),
    guard(
        "listening_bounded",
        "a server that says more and more is listened to no more",
        "http/listening.py",
        "if len(self.read_queue) >= MOST_PIECES:",
        "if not self.read_queue:",
        LISTENING,
    ),
    guard(
        "listening_goes_on",
        "a connection is listened to all the time",
        "http/listening.py",
        "    transport.pause_reading = _go_on\n",
        "",
        LISTENING,
    ),
    guard(
        "listening_tls",
        "so is one over TLS",
        "http/onewrite.py",
        "listening.behind_tls(below, self._has_come)",
        "_never",
        LISTENING,
    ),
    guard(
        "handing_renames",
        "what fails on the usual way has the library's name",
        "http/handing.py",
        "            found = self._pool.handle_request(_handed(self.core, request))\n        except Exception:\n",
        "            found = self._pool.handle_request(_handed(self.core, request))\n        except ValueError:\n",
        HANDING,
    ),
    guard(
        "handing_target",
        "another target goes the library's own way",
        "http/handing.py",
        'return ALONE in extensions and "target" not in extensions',
        "return ALONE in extensions",
        HANDING,
    ),
    guard(
        "handing_known",
        "where httpcore makes something else of a request nothing is handed over",
        "http/handing.py",
        " or not _is_known(library, core):",
        ":",
        HANDING,
    ),
    guard(
        "handing_native",
        "what was put in the transport's place is not left out",
        "http/proof.py",
        "_are_native(library.name, type(client), kind, type(transport._pool))",
        "_are_native(library.name, type(client), type(transport), type(transport._pool))",
        HANDING,
    ),
    guard(
        "listening_tls_rest",
        "what a piece has besides is not the next request's answer",
        "http/listening.py",
        "has_come() or packed.pending > 0 or unpacked.pending() > 0",
        "has_come()",
        LISTENING,
    ),
    guard(
        "listening_forgotten",
        "a client that is forgotten leaves no connection",
        "http/listening.py",
        "        loop.call_soon_threadsafe(transport.abort)\n",
        "        pass\n",
        LISTENING,
    ),
    guard(
        "listening_end",
        "an anyio that does not know of ends is left alone",
        "http/listening.py",
        'hasattr(protocol, "is_at_eof") and ',
        "",
        LISTENING,
    ),
    guard(
        "short_unasked",
        "what a server says besides is not the answer of a request of another kind",
        "http/short.py",
        "        finally:\n            _end_if_unasked(self._line)\n            self._pool.pass_on()\n",
        "        finally:\n            self._pool.pass_on()\n",
        SHARED,
    ),
    guard(
        "handing_names",
        "where the library has no such names nothing is handed over",
        "http/handing.py",
        "if not needed <= names.keys() or not",
        "if not",
        HANDING,
    ),
)
