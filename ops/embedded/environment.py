"""The environment the embedded services start with: nothing of the operator's (PGOPTIONS, LC_ALL) leaks into it."""

import os

# What the dynamic linker was told to find this Python's own libraries, which the launcher needs as well.
_LINKER = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")

SERVICE_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C",
    "LC_ALL": "C",
    "TZ": "UTC",
    **{name: os.environ[name] for name in _LINKER if name in os.environ},
}
