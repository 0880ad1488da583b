"""How long a client may take, and how much it may make a web process hold."""

#: From the first byte of a request to the end of its head.
HEAD_SECONDS = 10.0
#: For all of a body, however it trickles.
BODY_SECONDS = 30.0
#: For reading all of an answer.
ANSWER_SECONDS = 60.0
#: For a piece of an answer that goes on for minutes, as the live tail: after it the client counts as gone.
PIECE_SECONDS = 10.0
#: After an answer that came before the end of the body: how long what still comes is read and thrown away, so that the
#: client gets to read the answer (RFC 9112, 9.6).
LINGER_SECONDS = 5.0
#: How much of a body that is too large is read and thrown away, so that the connection stays usable.
DRAINED_BYTES = 64 * 1024 * 1024
#: Bodies that are not complete, and answers that are not read, of all connections of a process. Beyond it the
#: connection that holds most is ended.
HELD_BYTES = 64 * 1024 * 1024
#: What the kernel takes of an answer for a client that does not read. By itself it would take megabytes.
KERNEL_BYTES = 128 * 1024
#: Complete requests that wait for a thread.
WAITING_REQUESTS = 1000
#: Connections of a process. Beyond it the one that has been idle for longest is closed.
CONNECTIONS = 10_000
