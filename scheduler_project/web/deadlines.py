"""Limits on clients: time, memory and connections."""

#: From the first byte of a request to the end of its head.
HEAD_SECONDS = 10.0
#: For a whole request body.
BODY_SECONDS = 30.0
#: For the client to read a whole response.
ANSWER_SECONDS = 60.0
#: For the client to read a piece of a live response; after it the client counts as gone.
PIECE_SECONDS = 10.0
#: How long to read and discard the rest of a request after an early response, so that the client can read the response
#: (RFC 9112, 9.6).
LINGER_SECONDS = 5.0
#: How much of a body that is too large is read and discarded, so that the connection stays usable.
DRAINED_BYTES = 64 * 1024 * 1024
#: Incomplete bodies and unread responses of all connections of a process. Beyond it the connection with the most is
#: closed.
HELD_BYTES = 64 * 1024 * 1024
#: The kernel's buffer for a client that does not read. By default it would be megabytes.
KERNEL_BYTES = 128 * 1024
#: Complete requests waiting for a thread.
WAITING_REQUESTS = 1000
#: Connections of a process. Beyond it the one that has been idle longest is closed.
CONNECTIONS = 10_000
