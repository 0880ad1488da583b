"""A test certificate authority and its certificate for localhost, 127.0.0.1 and ::1, valid for a century.

The authority's key no longer exists; the leaf's key protects nothing.
"""

import datetime
import ssl
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIBqzCCAVGgAwIBAgIUewd7xU/hO67QY8tb8PXZhTAL5bMwCgYIKoZIzj0EAwIw
IjEgMB4GA1UEAwwXSG91cmhhbmQgdGVzdCBhdXRob3JpdHkwIBcNMjYxMTIyMDMw
NDE2WhgPMjEyNjEwMjkwMzA0MTZaMCIxIDAeBgNVBAMMF0hvdXJoYW5kIHRlc3Qg
YXV0aG9yaXR5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAErn4hAiZSXqUOki9I
lPnKX/ZQg6pd9n4T0jBFsk+dHnBvghk3CDFJacKDQQFt/y0cjAfZMH1AGAsD2h/t
nhQvJqNjMGEwHQYDVR0OBBYEFC8abxMyMfU9EqEOVLE1QPP5XGsjMB8GA1UdIwQY
MBaAFC8abxMyMfU9EqEOVLE1QPP5XGsjMA4GA1UdDwEB/wQEAwIBBjAPBgNVHRMB
Af8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQDqKCy1HnyRSC70NcFMURzreQqk
olZgT92o5lwGWB2KuwIgXgi+Qc9egYPPh+YlZNtA1bV6D+4hzckFBAzfDTlH5/w=
-----END CERTIFICATE-----
"""

_LEAF = """\
-----BEGIN CERTIFICATE-----
MIIB2TCCAX+gAwIBAgIUDwzvL32kCH1hivAsWZLBuky78sowCgYIKoZIzj0EAwIw
IjEgMB4GA1UEAwwXSG91cmhhbmQgdGVzdCBhdXRob3JpdHkwIBcNMjYxMTIyMDMw
NDE2WhgPMjEyNjEwMjkwMzA0MTZaMBQxEjAQBgNVBAMMCWxvY2FsaG9zdDBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABCHGwE3pf2Q8/7w2q6JklygLytT6dWSp25/8
go4p4uif1NKRG/++ay5yMRbStFiA+zRpjS0nNhHN7S7FvdPMxN6jgZ4wgZswLAYD
VR0RBCUwI4IJbG9jYWxob3N0hwR/AAABhxAAAAAAAAAAAAAAAAAAAAABMAkGA1Ud
EwQCMAAwCwYDVR0PBAQDAgeAMBMGA1UdJQQMMAoGCCsGAQUFBwMBMB0GA1UdDgQW
BBSbsE+uLmWvEjBvt93ltPbyRRrMmTAfBgNVHSMEGDAWgBQvGm8TMjH1PRKhDlSx
NUDz+VxrIzAKBggqhkjOPQQDAgNIADBFAiAitD/uqc/KbIGt7my2/diuU570vVoU
cRcjksE9+RHaLwIhAIauGyNEC8Ik5EBFvDR4M86EC6Bsq2ZAl0tfVbprYCf6
-----END CERTIFICATE-----
"""

_LEAF_KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgTaCpGQaAe8QpneQT
Iha4g5tn5CA5xRHPa8w8PEbCFXGhRANCAAQhxsBN6X9kPP+8NquiZJcoC8rU+nVk
qduf/IKOKeLon9TSkRv/vmsucjEW0rRYgPs0aY0tJzYRze0uxb3TzMTe
-----END PRIVATE KEY-----
"""


def client_certificate() -> tuple[str, str]:
    """Create a self-signed client certificate; return it and its key as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hourhand")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def server_context(*, alpn: tuple[str, ...] = ("http/1.1",)) -> ssl.SSLContext:
    """What a test server needs to speak TLS as localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(list(alpn))
    with tempfile.TemporaryDirectory() as folder:
        chain = Path(folder, "chain.pem")
        chain.write_text(_LEAF + _LEAF_KEY)
        context.load_cert_chain(chain)
    return context
