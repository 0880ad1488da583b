"""A hostile endpoint in its own process, on loopback.

    python -m tests.support.hostile_target

Prints one line of JSON when it listens: the port of each listener, and `authority`, the PEM of the certificate
authority. It ends on SIGTERM, or with its parent process. `/seen` counts requests by listener and path.
"""

import asyncio
import contextlib
import datetime
import functools
import ipaddress
import json
import os
import signal
import socket
import ssl
import struct
import tempfile
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HUGE_BYTES = 200 * 1024 * 1024
HEADER_COUNT = 200_000
NOT_TEXT = b"\x00\xff\xfe caf\xe9 \x00"
HALF = b"half of what was promised"

_BLOCK = b"x" * 65_536
_SECONDS = 60.0
_OK = b"HTTP/1.1 200 OK\r\n"


class Caller:
    """The connection to a caller."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def send(self, raw: bytes) -> None:
        """Write, as fast as the caller reads."""
        self._writer.write(raw)
        await self._writer.drain()

    async def flood(self, raw: bytes) -> None:
        """Write the same forever."""
        while True:
            await self.send(raw)

    async def drip(self, raw: bytes, *, every_seconds: float) -> None:
        """Write the same forever, slowly."""
        while True:
            await self.send(raw)
            await asyncio.sleep(every_seconds)

    async def reset(self) -> None:
        """Reset the TCP connection after sent data has had time to arrive."""
        await asyncio.sleep(0.3)
        raw: socket.socket = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def answer(self, body: bytes, headers: bytes = b"") -> None:
        """Send a complete response."""
        await self.send(_OK + headers + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))


async def fine(caller: Caller) -> None:
    await caller.answer(b"ok")


async def huge(caller: Caller) -> None:
    await caller.send(_OK + b"Content-Length: %d\r\n\r\n" % HUGE_BYTES)
    for _ in range(HUGE_BYTES // len(_BLOCK)):
        await caller.send(_BLOCK)


async def endless_chunks(caller: Caller) -> None:
    await caller.send(_OK + b"Transfer-Encoding: chunked\r\n\r\n")
    await caller.flood(b"%x\r\n%b\r\n" % (len(_BLOCK), _BLOCK))


async def gzip_bomb(caller: Caller) -> None:
    await caller.answer(bomb(), b"Content-Encoding: gzip\r\n")


async def many_headers(caller: Caller) -> None:
    await caller.send(_OK)
    for start in range(0, HEADER_COUNT, 1000):
        await caller.send(b"".join(b"X-%d: v\r\n" % number for number in range(start, start + 1000)))
    await caller.send(b"Content-Length: 2\r\n\r\nok")


async def endless_interim(caller: Caller) -> None:
    await caller.flood(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 500)


async def slow_interim(caller: Caller) -> None:
    await caller.drip(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", every_seconds=0.5)


async def slow_body(caller: Caller) -> None:
    await caller.send(_OK + b"Content-Length: 1000\r\n\r\n")
    await caller.drip(b"x", every_seconds=0.5)


async def slow_head(caller: Caller) -> None:
    for octet in _OK * 100:
        await caller.send(bytes([octet]))
        await asyncio.sleep(0.5)


async def endless_trailers(caller: Caller) -> None:
    await caller.send(_OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n")
    await caller.flood(b"X-Trailer: v\r\n" * 500)


async def silence(_caller: Caller) -> None:
    await asyncio.sleep(_SECONDS)


async def reset_in_the_middle(caller: Caller) -> None:
    await caller.send(_OK + b"Content-Length: 1000\r\n\r\n" + HALF)
    await caller.reset()


async def reset_at_once(caller: Caller) -> None:
    await caller.reset()


async def cut_short(caller: Caller) -> None:
    await caller.send(_OK + b"Content-Length: 1000\r\n\r\n" + HALF)


async def not_http(caller: Caller) -> None:
    await caller.send(b"SSH-2.0-OpenSSH_9\r\n" + bytes(range(256)) * 4)


async def not_text(caller: Caller) -> None:
    await caller.answer(NOT_TEXT, b"X-Name: caf\xe9 \xff\r\n")


async def nul_in_header(caller: Caller) -> None:
    await caller.answer(b"ok", b"X-Name: a\x00b\r\n")


Behaviour = Callable[[Caller], Awaitable[None]]
BEHAVIOURS: dict[str, Behaviour] = {
    f"/{behaviour.__name__}": behaviour
    for behaviour in (
        fine, huge, endless_chunks, gzip_bomb, many_headers, endless_interim, slow_interim, slow_body, slow_head,
        endless_trailers, silence, reset_in_the_middle, reset_at_once, cut_short, not_http, not_text, nul_in_header,
    )
}  # fmt: skip


@functools.cache
def bomb() -> bytes:
    """Return as many zeros as the huge body has bytes, compressed to about a thousandth."""
    packer = zlib.compressobj(level=1, wbits=31)
    zeros = bytes(1024 * 1024)
    return b"".join(packer.compress(zeros) for _ in range(HUGE_BYTES // len(zeros))) + packer.flush()


# -- certificates ------------------------------------------------------------------------------------------------------


class Authority:
    """The certificate authority; `pem` is its certificate."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "The tests' authority")])
        made = _builder(self._name, self._name, self._key.public_key(), valid_days=1)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.pem = _pem(made.sign(self._key, hashes.SHA256()))

    def context(
        self, names: Sequence[x509.GeneralName], *, valid_days: int = 1, signed_by_itself: bool = False
    ) -> ssl.SSLContext:
        """Return a TLS context with a certificate for `names`. A negative `valid_days` means expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")])
        issuer = subject if signed_by_itself else self._name
        made = _builder(subject, issuer, key.public_key(), valid_days=valid_days)
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = made.sign(key if signed_by_itself else self._key, hashes.SHA256())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            chain = Path(folder, "chain.pem")
            chain.write_text(_pem(certificate) + _private_pem(key))
            context.load_cert_chain(chain)
        return context


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, *, valid_days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    ends = now + datetime.timedelta(days=valid_days)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public_key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(min(now, ends) - datetime.timedelta(days=1)).not_valid_after(ends)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain).decode()


# -- the process -------------------------------------------------------------------------------------------------------


def _serving(listener: str, seen: Counter[str]) -> Callable[..., Awaitable[None]]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = Caller(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            if path == "/seen":
                await caller.answer(json.dumps(seen).encode())
            else:
                seen[f"{listener} {path}"] += 1
                async with asyncio.timeout(_SECONDS):
                    await BEHAVIOURS[path](caller)
        with contextlib.suppress(OSError):
            writer.close()
            await writer.wait_closed()

    return serve


async def _listen() -> None:
    authority, here = Authority(), [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    contexts = {
        "plain": None,
        "trusted": authority.context(here),
        "wrong_name": authority.context([x509.DNSName("elsewhere.example")]),
        "expired": authority.context(here, valid_days=-1),
        "self_signed": authority.context(here, signed_by_itself=True),
    }
    seen: Counter[str] = Counter()
    announcement: dict[str, int | str] = {"authority": authority.pem}
    servers = []
    for name, context in contexts.items():
        server = await asyncio.start_server(_serving(name, seen), "127.0.0.1", 0, ssl=context, backlog=1024)
        announcement[name] = server.sockets[0].getsockname()[1]
        servers.append(server)
    print(json.dumps(announcement), flush=True)
    done, parent = asyncio.Event(), os.getppid()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, done.set)
    while not done.is_set() and os.getppid() == parent:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), 1)


if __name__ == "__main__":
    bomb()
    asyncio.run(_listen())
