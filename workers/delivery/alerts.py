"""Detects a TLS alert by which a server ended a new session, even if libcurl did not read it.

Under TLS 1.3 a server that misses the client's certificate sends its alert after the client has begun to send. If the
connection is reset right behind that, libcurl reports a failure to send, as for any broken connection. The alert can
still be read from the socket's queue.
"""

import os
import re
import socket

#: OpenSSL's messages for alerts that every attempt would get. Other alerts are faults that may pass.
_LASTING_ALERT = re.compile(
    r"SSL routines::.*alert (?:certificate|bad certificate|unsupported certificate|unknown ca|access denied"
    r"|handshake failure|no certificate|insufficient security|protocol version)"
)
_APPLICATION_DATA = 0x17  # the record type of all that TLS 1.3 encrypts
_HEADER_BYTES, _PEEKED_BYTES = 5, 4096
_ALERT_BYTES = 2 + 1 + 16  # level and description, the type, the tag (RFC 8446, sections 5.2 and 6)


def is_lasting_alert(message: str) -> bool:
    """Whether libcurl's message reports an alert that another attempt would get again."""
    return _LASTING_ALERT.search(message) is not None


class AlertWatch:
    """Inspects a new connection once it has failed, through a duplicate of its file descriptor."""

    def __init__(self, file_number: int) -> None:
        self._socket = socket.socket(fileno=os.dup(file_number))

    def close(self) -> None:
        self._socket.close()

    def holds_alert(self) -> bool:
        """Whether an unread encrypted alert is in the socket's queue."""
        try:
            records = self._socket.recv(_PEEKED_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError:
            return False
        at = 0
        while at + _HEADER_BYTES <= len(records):
            length = int.from_bytes(records[at + 3 : at + 5], "big")
            if records[at] == _APPLICATION_DATA and length == _ALERT_BYTES:
                return True
            at += _HEADER_BYTES + length
        return False
