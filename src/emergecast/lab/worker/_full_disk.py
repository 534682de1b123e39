"""Whether an error says that there is no room left: then the run is not to blame."""

from __future__ import annotations

import errno
from typing import Final

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FULL_SAID: Final = ("No space left on device", "Disk quota exceeded", "File too large")


def disk_is_full(error: BaseException) -> bool:
    """Whether an error is not the run's fault: a library could not write to a full disk."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _FULL:
            return True
        if any(words in str(seen) for words in _FULL_SAID):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
