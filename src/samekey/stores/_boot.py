"""Which boot of which machine this is."""

import ctypes
import sys
from functools import cache
from pathlib import Path
from typing import Final

_LINUX: Final = Path("/proc/sys/kernel/random/boot_id")


@cache  # and no lock: a fork that came while another thread reads would leave it held in the child
def boot_id() -> str | None:
    """Names this boot of this machine (32 hex digits), the same in all its containers; None where nothing tells."""
    if sys.platform == "darwin":
        return _from_sysctl()
    try:
        return _LINUX.read_text(encoding="utf-8").strip().replace("-", "").lower() or None
    except (OSError, UnicodeError):
        return None


def _from_sysctl() -> str | None:
    try:
        size = ctypes.c_size_t(64)
        text = ctypes.create_string_buffer(size.value)
        libc = ctypes.CDLL(None)
        if libc.sysctlbyname(b"kern.bootsessionuuid", text, ctypes.byref(size), None, 0) != 0:
            return None
    except (OSError, AttributeError):
        return None
    return text.value.decode("ascii", "replace").replace("-", "").lower() or None
