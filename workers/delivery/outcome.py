"""Outcomes of transfers: a failure reason and a short text for each of libcurl's result codes and HTTP statuses."""

import errno
import os
from functools import lru_cache

import pycurl

from jobs.egress import Target
from runs.failures import FailureReason

Outcome = tuple[FailureReason | None, str | None]
Failure = tuple[FailureReason, str]
SUCCEEDED: Outcome = (None, None)
MAX_ERROR_LENGTH = 300

#: Codes of libcurl 8.23 (curl/curl.h, CURLcode) that pycurl 7.49 has no name for.
E_TOO_LARGE = 100
E_ECH_REQUIRED = 101
_RECURSIVE_API_CALL = 93
_HTTP2_STREAM, _AUTH_ERROR, _HTTP3, _QUIC, _PROXY, _CLIENT_CERT, _UNRECOVERABLE_POLL = 92, 94, 95, 96, 97, 98, 99

_DNS = (pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_RESOLVE_PROXY)
_TIMEOUT = (pycurl.E_OPERATION_TIMEDOUT,)
_URL = (pycurl.E_URL_MALFORMAT,)
_SSL = (
    pycurl.E_SSL_CONNECT_ERROR,
    pycurl.E_PEER_FAILED_VERIFICATION,
    pycurl.E_SSL_PEER_CERTIFICATE,
    pycurl.E_SSL_CACERT,
    pycurl.E_SSL_CACERT_BADFILE,
    pycurl.E_SSL_CERTPROBLEM,
    pycurl.E_SSL_CIPHER,
    pycurl.E_SSL_CRL_BADFILE,
    pycurl.E_SSL_ENGINE_INITFAILED,
    pycurl.E_SSL_ENGINE_NOTFOUND,
    pycurl.E_SSL_ENGINE_SETFAILED,
    pycurl.E_SSL_INVALIDCERTSTATUS,
    pycurl.E_SSL_ISSUER_ERROR,
    pycurl.E_SSL_PINNEDPUBKEYNOTMATCH,
    pycurl.E_SSL_SHUTDOWN_FAILED,
    pycurl.E_USE_SSL_FAILED,
    _CLIENT_CERT,
    E_ECH_REQUIRED,
)
_CONNECTION = (
    pycurl.E_COULDNT_CONNECT,
    pycurl.E_FTP_WEIRD_SERVER_REPLY,  # the old name of CURLE_WEIRD_SERVER_REPLY: the answer is not HTTP
    pycurl.E_UNSUPPORTED_PROTOCOL,  # schemes are checked before: here an answer without a status line (HTTP/0.9)
    pycurl.E_GOT_NOTHING,
    pycurl.E_SEND_ERROR,
    pycurl.E_RECV_ERROR,
    pycurl.E_SEND_FAIL_REWIND,
    pycurl.E_PARTIAL_FILE,
    pycurl.E_HTTP2,
    pycurl.E_BAD_CONTENT_ENCODING,
    pycurl.E_UPLOAD_FAILED,
    pycurl.E_INTERFACE_FAILED,
    pycurl.E_NO_CONNECTION_AVAILABLE,
    pycurl.E_AGAIN,
    E_TOO_LARGE,
    _HTTP2_STREAM,
    _HTTP3,
    _QUIC,
    _PROXY,
)
#: Faults of ours, of libcurl or of the machine, and errors of protocols that are switched off.
_UNKNOWN = (
    pycurl.E_CALL_MULTI_PERFORM,
    pycurl.E_FAILED_INIT,
    pycurl.E_NOT_BUILT_IN,
    pycurl.E_REMOTE_ACCESS_DENIED,
    pycurl.E_HTTP_RETURNED_ERROR,
    pycurl.E_WRITE_ERROR,
    pycurl.E_READ_ERROR,
    pycurl.E_OUT_OF_MEMORY,
    pycurl.E_RANGE_ERROR,
    pycurl.E_HTTP_POST_ERROR,
    pycurl.E_BAD_DOWNLOAD_RESUME,
    pycurl.E_FILE_COULDNT_READ_FILE,
    pycurl.E_LIBRARY_NOT_FOUND,
    pycurl.E_FUNCTION_NOT_FOUND,
    pycurl.E_ABORTED_BY_CALLBACK,
    pycurl.E_BAD_FUNCTION_ARGUMENT,
    pycurl.E_BAD_CALLING_ORDER,
    pycurl.E_BAD_PASSWORD_ENTERED,
    pycurl.E_TOO_MANY_REDIRECTS,
    pycurl.E_UNKNOWN_OPTION,
    pycurl.E_TELNET_OPTION_SYNTAX,
    pycurl.E_FILESIZE_EXCEEDED,
    pycurl.E_LOGIN_DENIED,
    pycurl.E_REMOTE_DISK_FULL,
    pycurl.E_REMOTE_FILE_EXISTS,
    pycurl.E_REMOTE_FILE_NOT_FOUND,
    pycurl.E_CONV_FAILED,
    pycurl.E_CONV_REQD,
    pycurl.E_CHUNK_FAILED,
    pycurl.E_QUOTE_ERROR,
    pycurl.E_SSH,
    pycurl.E_RTSP_CSEQ_ERROR,
    pycurl.E_RTSP_SESSION_ERROR,
    pycurl.E_LDAP_CANNOT_BIND,
    pycurl.E_LDAP_SEARCH_FAILED,
    pycurl.E_LDAP_INVALID_URL,
    pycurl.E_FTP_ACCEPT_FAILED,
    pycurl.E_FTP_ACCEPT_TIMEOUT,
    pycurl.E_FTP_BAD_FILE_LIST,
    pycurl.E_FTP_CANT_GET_HOST,
    pycurl.E_FTP_COULDNT_RETR_FILE,
    pycurl.E_FTP_COULDNT_SET_TYPE,
    pycurl.E_FTP_COULDNT_USE_REST,
    pycurl.E_FTP_PORT_FAILED,
    pycurl.E_FTP_PRET_FAILED,
    pycurl.E_FTP_WEIRD_227_FORMAT,
    pycurl.E_FTP_WEIRD_PASS_REPLY,
    pycurl.E_FTP_WEIRD_PASV_REPLY,
    pycurl.E_FTP_WEIRD_USER_REPLY,
    pycurl.E_FTP_COULDNT_GET_SIZE,
    pycurl.E_FTP_WRITE_ERROR,
    pycurl.E_TFTP_ILLEGAL,
    pycurl.E_TFTP_NOSUCHUSER,
    pycurl.E_TFTP_NOTFOUND,
    pycurl.E_TFTP_PERM,
    pycurl.E_TFTP_UNKNOWNID,
    pycurl.E_MALFORMAT_USER,
    pycurl.E_SHARE_IN_USE,
    pycurl.E_FTP_COULDNT_SET_ASCII,
    pycurl.E_ALREADY_COMPLETE,
    _RECURSIVE_API_CALL,
    _AUTH_ERROR,
    _UNRECOVERABLE_POLL,
)

REASON_BY_CODE: dict[int, FailureReason] = {
    **dict.fromkeys(_UNKNOWN, FailureReason.UNKNOWN),
    **dict.fromkeys(_CONNECTION, FailureReason.CONNECTION_ERROR),
    **dict.fromkeys(_SSL, FailureReason.SSL_ERROR),
    **dict.fromkeys(_DNS, FailureReason.DNS_ERROR),
    **dict.fromkeys(_TIMEOUT, FailureReason.TIMEOUT),
    **dict.fromkeys(_URL, FailureReason.INVALID_URL),
}

#: A server ended a TLS session right after it had begun. Most often it requires a client certificate.
REFUSED_SESSION = "the server refused the TLS session: it may require a client certificate, or another one"
#: The network or an overloaded server broke off the TLS handshake: certificates were not the reason.
_BROKEN_OFF = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ETIMEDOUT})


def timed_out(timeout_seconds: float) -> Failure:
    """The outcome of a transfer that reached its deadline."""
    return FailureReason.TIMEOUT, f"timed out after {timeout_seconds:g} s"


def unresolved(target: Target) -> Failure:
    """The outcome of a transfer to a host name without addresses."""
    return FailureReason.DNS_ERROR, f"could not resolve host {target.host}"


@lru_cache(maxsize=4096)
def by_status(status_code: int, success_statuses: tuple[str, ...]) -> Outcome:
    """The outcome of a complete answer. `success_statuses` holds codes ("204") and classes ("2xx")."""
    if str(status_code) in success_statuses or f"{status_code // 100}xx" in success_statuses:
        return SUCCEEDED
    match status_code // 100:
        case 4:
            reason = FailureReason.HTTP_CLIENT_ERROR
        case 5:
            reason = FailureReason.HTTP_SERVER_ERROR
        case _:
            reason = FailureReason.UNEXPECTED_STATUS
    return reason, f"HTTP {status_code}"


def by_code(code: int, message: str, *, target: Target, timeout_seconds: float, os_errno: int = 0) -> Outcome:
    """The outcome of a transfer that libcurl ended with `code` and `message`; `os_errno` is its socket's last error."""
    reason = REASON_BY_CODE.get(code, FailureReason.UNKNOWN)
    if code == pycurl.E_SSL_CONNECT_ERROR and (os_errno in _BROKEN_OFF or "unexpected eof" in message):
        return FailureReason.CONNECTION_ERROR, "the connection broke off during the TLS handshake"
    if reason is FailureReason.TIMEOUT:
        return timed_out(timeout_seconds)
    if reason is FailureReason.DNS_ERROR:
        return unresolved(target)
    if code == pycurl.E_COULDNT_CONNECT:
        why = f": {os.strerror(os_errno)}" if os_errno else ""
        return reason, f"could not connect to {target.host} port {target.port}{why}"
    if code == pycurl.E_GOT_NOTHING:
        return reason, "the connection was closed without an answer"
    if code == pycurl.E_UNSUPPORTED_PROTOCOL:
        return reason, "the answer is not HTTP"
    return reason, (message or f"libcurl error {code}")[:MAX_ERROR_LENGTH]
