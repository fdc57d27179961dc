"""What stops a send that must not happen."""


class Veto(BaseException):
    """Raised from the trace before the first byte is written, so that it is not. Never leaves `exchange`.

    Not an Exception: a transport in between that retries on those must not see it.
    """
