"""Files in memory, for content that must not reach a disk: the input of a command, the key of a certificate."""

import os
import sys
import tempfile
from typing import IO


def memory_file(content: bytes) -> IO[bytes]:
    """Return an open file with this content, at its start, which has no name in any directory.

    It is in memory on Linux. Other systems have no such files: there it is an unnamed temporary file.
    """
    file: IO[bytes]
    if sys.platform == "linux":
        file = os.fdopen(os.memfd_create("hourhand", os.MFD_CLOEXEC), "w+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    file.write(content)
    file.flush()
    file.seek(0)
    return file
