"""What belongs to one process and says so."""

from typing import NoReturn

from samekey.errors import UsageError


class Unpicklable:
    """Base of what has locks and connections: `pickle`, `copy` and `multiprocessing` are told why they cannot have it."""

    __slots__ = ()

    def __reduce__(self) -> NoReturn:
        """Refuses.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"{type(self).__name__} cannot be pickled or copied: its locks and connections are this process's own; make "
            "one in each process, on the same store (a forked child may also go on with its parent's)."
        )
