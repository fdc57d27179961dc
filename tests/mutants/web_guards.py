"""Guards of the review desk in the browser: a test must fail without each."""

from tests.mutants.mutant import guard

WHO = "tests/cli/test_web_guard.py"
SHOWN = "tests/cli/test_web.py"
DECIDED = "tests/cli/test_web_decide.py"

WEB = (
    guard(
        "web_host",
        "a name that was rebound to this machine is refused",
        "cli/web/guard.py",
        "if len(hosts) != 1 or hosts[0] not in self._hosts:",
        "if False:",
        WHO,
    ),
    guard(
        "web_token",
        "without the token nothing is there",
        "cli/web/guard.py",
        "if not compare_digest(",
        "if False and not compare_digest(",
        WHO,
    ),
    guard(
        "web_origin",
        "another page decides nothing",
        "cli/web/guard.py",
        'if scope["method"] not in _READING and not',
        "if False and not",
        WHO,
    ),
    guard(
        "web_origin_null",
        "a page without an origin is not ours for that",
        "cli/web/guard.py",
        'return site == "same-origin"',
        "return True",
        WHO,
    ),
    guard(
        "web_form_token",
        "a form of somebody else decides nothing",
        "cli/web/routes.py",
        "if not self._desk.is_ours(",
        "if False and not self._desk.is_ours(",
        WHO,
    ),
    guard(
        "web_form_action",
        "a form for one action decides no other",
        "cli/web/forms.py",
        "json.dumps([key, seen, ticket])",
        "json.dumps([seen, ticket])",
        WHO,
    ),
    guard(
        "web_form_version",
        "a form for one version decides about no other",
        "cli/web/forms.py",
        "json.dumps([key, seen, ticket])",
        "json.dumps([key, ticket])",
        WHO,
    ),
    guard(
        "web_seen",
        "a record that changed since it was shown is refused",
        "cli/web/desk.py",
        "seen=filled.stamp.seen",
        "seen=record.version",
        DECIDED,
    ),
    guard(
        "web_meaning",
        "a decision does what the page said, or nothing",
        "cli/web/desk.py",
        "if resolution.move.value != filled.move:",
        "if False:",
        DECIDED,
    ),
    guard(
        "web_twice",
        "the same form sent twice decides once",
        "cli/web/desk.py",
        "if record.claim_nonce == filled.nonce:",
        "if False:",
        DECIDED,
    ),
    guard("web_escape", "words of others stay words", "cli/web/pages.py", "autoescape=True", "autoescape=False", SHOWN),
    guard(
        "web_visible",
        "marks that turn the writing around are shown as such",
        "cli/web/pages.py",
        "            finalize=_visible,\n",
        "",
        SHOWN,
    ),
)
