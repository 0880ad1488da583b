"""Whether a server ended a new TLS session with an alert, which libcurl may not get to read.

Under TLS 1.3 a server that misses the client's certificate says so after the client has begun to send. Where the
connection is reset right behind that, libcurl reports a failure to send, as of any broken connection. What the server
said is still there to be looked at in the socket's queue.
"""

import os
import re
import socket

#: What OpenSSL says of an alert that was read. Other alerts tell of a fault in between, which may be over next time.
_READ = re.compile(
    r"SSL routines::.*alert (?:certificate|bad certificate|unsupported certificate|unknown ca|access denied"
    r"|handshake failure|no certificate|insufficient security|protocol version)"
)
_APPLICATION_DATA = 0x17  # as which TLS 1.3 sends all that is encrypted
_HEADER_BYTES, _PEEKED_BYTES = 5, 4096
_ALERT_BYTES = 2 + 1 + 16  # level and description, the type, the tag (RFC 8446, sections 5.2 and 6)


def told_by(message: str) -> bool:
    """Whether libcurl's message is of an alert that another attempt would get again."""
    return _READ.search(message) is not None


class Watch:
    """Looks at a new connection once it has failed. The file number is one of its own, for the same socket."""

    def __init__(self, file_number: int) -> None:
        self._socket = socket.socket(fileno=os.dup(file_number))

    def close(self) -> None:
        self._socket.close()

    def holds_alert(self) -> bool:
        """Whether an encrypted alert came that nobody has read."""
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
