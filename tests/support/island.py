"""A network of its own, for the processes of a test: loopback, some public addresses, and a name server that lies.

    unshare --mount --net python -m tests.support.island DIRECTORY

There the addresses in `PUBLIC` are at home, so that a call to a public place can succeed and yet no packet can leave.
Of the machine nothing is touched. `DIRECTORY/zone.json` says what names resolve to, and may change at any time:
`{name: {"A": [[address, ...], ...], "AAAA": ...}}`, one list for each time it is asked, the last one for ever. Every
connection made to a port in `PORTS`, at whichever address, is answered with 200 and noted.
"""

import collections
import contextlib
import http.server
import ipaddress
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.project import ROOT

PUBLIC = ("93.184.215.14", "2606:4700::1111")
PORTS = (80, 443, 8080, 8081)
PROGRAMS = ("unshare", "nsenter", "mount", "ip")
#: An ordinary user may do this as the root of a user namespace; root would only lose what it may do outside.
_USERS = () if os.geteuid() == 0 else ("--user",)
_NEW = ("unshare", *(("--map-root-user",) if _USERS else ()), "--mount", "--net")

Answers = Mapping[str, Sequence[Sequence[str]]]
Connection = tuple[str, int]


class Island:
    """The test's side of it. `within` is the command that runs another one there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.zone({})
        command = [*_NEW, sys.executable, "-m", "tests.support.island", str(directory)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        joined = [*_USERS, "--mount", "--net", "--preserve-credentials", f"--wd={ROOT}"]
        self.within = ["nsenter", "--target", str(self._process.pid), *joined]

    def zone(self, names: Mapping[str, Answers]) -> None:
        """What names resolve to from now on."""
        changed = self._directory / "zone.new"
        changed.write_text(json.dumps(names))
        changed.rename(self._directory / "zone.json")

    def connections(self) -> list[Connection]:
        """The local address and port of every connection that was made there, in order."""
        return [(ip, int(port)) for ip, port in map(str.split, self._noted("connections"))]

    def asked(self) -> set[str]:
        """The names that somebody wanted to have resolved."""
        return set(self._noted("questions"))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()  # which ends it, as the end of this process would
        self._process.wait(20)

    def _noted(self, what: str) -> list[str]:
        path = self._directory / what
        return path.read_text().splitlines() if path.exists() else []


def can_be_made() -> bool:
    """If this machine lets its users make namespaces."""
    if any(shutil.which(program) is None for program in PROGRAMS):
        return False
    tried = subprocess.run([*_NEW, "ip", "link", "set", "lo", "up"], check=False, capture_output=True)
    return tried.returncode == 0


# -- inside ------------------------------------------------------------------------------------------------------------


class Notes:
    """A file with a line for each thing that happened."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._file = path.open("a")

    def add(self, line: str) -> None:
        with self._lock:
            self._file.write(f"{line}\n")
            self._file.flush()


def _furnish(directory: Path) -> None:
    """Loopback up, the public addresses on it, and only our name server to ask."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in PUBLIC:
        with contextlib.suppress(subprocess.CalledProcessError):  # a machine without IPv6
            subprocess.run(["ip", "address", "add", address, "dev", "lo"], check=True, capture_output=True)
    for path, text in (("/etc/resolv.conf", "nameserver 127.0.0.1\n"), ("/etc/nsswitch.conf", "hosts: files dns\n")):
        ours = directory / Path(path).name
        ours.write_text(text)
        if Path(path).exists():
            subprocess.run(["mount", "--bind", str(ours), path], check=True)


def _serve_http(notes: Notes) -> None:
    class Endpoint(http.server.BaseHTTPRequestHandler):
        def handle(self) -> None:
            ip, port = self.connection.getsockname()[:2]
            notes.add(f"{ip.removeprefix('::ffff:')} {port}")
            super().handle()

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Quiet."""

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

        def server_bind(self) -> None:
            if self.address_family == socket.AF_INET6:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            super().server_bind()

        def handle_error(self, *_: object) -> None:
            """A caller that has seen enough is no error here."""

    for port in PORTS:
        threading.Thread(target=Server(("", port), Endpoint).serve_forever, daemon=True).start()


def _serve_names(directory: Path, notes: Notes) -> None:
    """Answer over UDP (RFC 1035), each answer good for no second longer."""
    door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    door.bind(("127.0.0.1", 53))
    threading.Thread(target=_answer, args=(door, directory / "zone.json", notes), daemon=True).start()


def _answer(door: socket.socket, zone: Path, notes: Notes) -> None:
    asked: collections.Counter[tuple[str, str]] = collections.Counter()
    while True:
        question, caller = door.recvfrom(4096)
        name, kind, end = _parsed(question)
        notes.add(name)
        answers = json.loads(zone.read_text()).get(name, {}).get(kind, [[]])
        addresses = answers[min(asked[name, kind], len(answers) - 1)]
        asked[name, kind] += 1
        records = b"".join(_record(address) for address in addresses)
        head = question[:2] + struct.pack(">HHHHH", 0x8580, 1, len(addresses), 0, 0)
        door.sendto(head + question[12:end] + records, caller)


def _parsed(question: bytes) -> tuple[str, str, int]:
    """Name, kind of record, and where the question ends."""
    labels, at = [], 12
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode("latin-1").lower())
        at += 1 + length
    (kind,) = struct.unpack_from(">H", question, at + 1)
    return ".".join(labels), {1: "A", 28: "AAAA"}.get(kind, str(kind)), at + 5


def _record(text: str) -> bytes:
    packed = ipaddress.ip_address(text).packed
    return struct.pack(">HHHIH", 0xC00C, 1 if len(packed) == 4 else 28, 1, 0, len(packed)) + packed


def _refuse_outside() -> None:
    """Exit unless the network namespace is new, with its loopback still down: the machine's own would be changed."""
    up = subprocess.run(["ip", "-brief", "link", "show", "up"], check=True, capture_output=True, text=True)
    if up.stdout.strip():
        sys.exit("Run this in a network namespace of its own, as the module's description shows.")


def main() -> None:
    _refuse_outside()
    directory = Path(sys.argv[1])
    _furnish(directory)
    _serve_http(Notes(directory / "connections"))
    _serve_names(directory, Notes(directory / "questions"))
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
