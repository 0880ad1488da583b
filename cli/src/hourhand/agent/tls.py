"""The TLS settings of a call as a context of Python's ssl module."""

import ssl
import sys
import tempfile
from pathlib import Path

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from hourhand.agent.http_contract import CallFailedError, TlsSettings
from hourhand.agent.memory_files import memory_file


def tls_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return the context. Unless `ca_cert` is given, public authorities and the machine's own are trusted.

    Raises CallFailedError for a certificate or key that can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # As libcurl does: an intermediate or the server's own certificate can be trusted by itself.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif settings.ca_cert is not None:
        try:
            context.load_verify_locations(cadata=settings.ca_cert)
        except (ssl.SSLError, ValueError) as error:
            raise CallFailedError("ssl_error", f"ca_cert can't be used: {error}") from error
    else:
        context.load_default_certs()
        context.load_verify_locations(cafile=DEFAULT_CA_BUNDLE_PATH)
    if settings.client_cert is not None and settings.client_key is not None:
        _present(context, f"{settings.client_cert.strip()}\n{settings.client_key.strip()}\n".encode())
    return context


def _present(context: ssl.SSLContext, certificate_and_key: bytes) -> None:
    """Load the client's certificate, which the ssl module only reads from a path."""
    try:
        if sys.platform == "linux":
            with memory_file(certificate_and_key) as file:
                context.load_cert_chain(f"/proc/self/fd/{file.fileno()}", password=_no_password)
        else:
            with tempfile.TemporaryDirectory() as directory:  # for this user alone
                path = Path(directory) / "client.pem"
                path.write_bytes(certificate_and_key)
                context.load_cert_chain(path, password=_no_password)
    except (ssl.SSLError, ValueError, OSError) as error:
        raise CallFailedError("ssl_error", f"client_cert can't be used: {error}") from error


def _no_password() -> str:
    """Refuse an encrypted key: without this, OpenSSL would ask at the terminal."""
    raise ValueError("the key is encrypted")
