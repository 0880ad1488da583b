"""Becomes a child that can't outlive its parent, under another account if asked, then execs the program.

Run as a file, `python -I -S launch.py --parent PID ... -- PROGRAM ARGS`, instead of code between fork and exec: it may
allocate and import, and the program keeps its process id. Standard library only. See capabilities(7) and prctl(2).
"""

import argparse
import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_SECUREBITS = 28
_SECBIT_NO_SETUID_FIXUP = 4
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522
_CANNOT_LAUNCH = 126


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapabilitySets(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def _checked(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def _prctl(libc: ctypes.CDLL, option: int, *words: int) -> None:
    padded = [ctypes.c_ulong(word) for word in (*words, 0, 0, 0, 0)[:4]]
    _checked(libc.prctl(option, *padded), f"prctl({option})")


def become(libc: ctypes.CDLL, uid: int, gid: int, capability: int | None) -> None:
    """Change account for good. All capabilities go but the one asked for, which survives exec as an ambient one."""
    if capability is not None:
        # Capabilities stay over setresuid, and count in access(2) as well, by which PostgreSQL looks for its programs.
        _prctl(libc, _PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if capability is None:
        return
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    sets = (_CapabilitySets * 2)()
    only = sets[capability // 32]
    only.effective = only.permitted = only.inheritable = 1 << (capability % 32)
    _checked(libc.capset(ctypes.byref(header), sets), "capset")
    _prctl(libc, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)


def die_with(libc: ctypes.CDLL, parent: int, signal_number: int) -> None:
    """Ask for a signal when the parent dies. Comes after `become`: a change of credentials clears it."""
    _prctl(libc, _PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent:  # it died before the kernel knew whom to watch
        sys.exit(_CANNOT_LAUNCH)


def main() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--orphan-signal", type=int, required=True)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--capability", type=int)
    parser.add_argument("--reach", action="append", default=[], help="a directory that must be searchable and readable")
    parser.add_argument("program", nargs="+")
    options = parser.parse_args()
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if options.uid is not None:
            become(libc, options.uid, options.gid, options.capability)
        if sys.platform == "linux":
            die_with(libc, options.parent, options.orphan_signal)
        for directory in options.reach:
            os.scandir(directory).close()
        os.execv(options.program[0], options.program)  # noqa: S606 - a list, no shell wanted
    except OSError as error:
        sys.exit(f"launch: {options.program[0]}: {error}")


if __name__ == "__main__":
    main()
