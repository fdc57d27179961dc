"""All mutants, in the order in which they are tried."""

from tests.mutants.at_once_guards import AT_ONCE_GUARDS
from tests.mutants.by_hand import BY_HAND
from tests.mutants.core_guards import CORE
from tests.mutants.desk_guards import DESK
from tests.mutants.engine_guards import ENGINE_GUARDS
from tests.mutants.http_guards import HTTP
from tests.mutants.rules import RULES
from tests.mutants.security_guards import SECURITY
from tests.mutants.store_guards import STORE
from tests.mutants.web_guards import WEB

MUTANTS = (*RULES, *BY_HAND, *CORE, *ENGINE_GUARDS, *AT_ONCE_GUARDS, *STORE, *DESK, *WEB, *HTTP, *SECURITY)
