"""Who works on what, for stores that several machines share.

Of a process on the same machine, a lock file tells whether it still runs, as for a store in a file. Of all others, other
containers of this machine among them, only the lease tells: they see another directory of locks, so their names have
another place in them.
"""

import os
import secrets
from contextlib import suppress
from hashlib import sha256

import platformdirs

from samekey.stores._files import make_directory, read_small, write_durably
from samekey.stores._holders import NO_BOOT, Holder, fresh_name, holders
from samekey.stores._running import Running


class Leased:
    """This process where it has no directory for a lock: to others, only its lease tells."""

    def __init__(self) -> None:
        self.running = Running()
        self.name = fresh_name(NO_BOOT)

    def is_alive(self, name: str) -> bool:
        """True: only the lease can tell."""
        del name
        return True

    def is_running(self, name: str) -> bool:
        """False: nothing is known."""
        del name
        return False

    def sweep(self) -> None:
        """Does nothing: there are no files."""


def host_holder(store_id: str) -> Holder | Leased:
    """This process, as the other users of a shared store see it; made on first use. Reads and writes small files.

    Args:
        store_id: names the store, in letters and digits.
    """
    base = str(platformdirs.user_state_path("samekey") / "shared" / store_id)
    directory = os.path.join(base, "holders")
    try:
        make_directory(directory)
        return holders.at(directory, _place(base, directory))
    except OSError:
        return Leased()


def _place(base: str, directory: str) -> str:
    """Names the directory itself, not its path: containers have equal paths, and copies of the same files."""
    path = os.path.join(base, "place")
    if not read_small(path):
        own = f"{path}.{secrets.token_hex(8)}"
        write_durably(own, secrets.token_hex(16).encode())
        with suppress(FileExistsError):
            os.link(own, path)  # whole, and never over that of another process
        os.unlink(own)
    found = os.stat(directory)
    return sha256(b"%b %d %d" % (read_small(path) or b"", found.st_dev, found.st_ino)).hexdigest()[:12]
