"""The web server: gunicorn's event loop reads requests and writes answers, within deadlines; threads run Django.

A thread is taken once a request is there as a whole, and is free again before its answer is written. So a client that
is slow, or says nothing, costs a socket and some memory, and nobody else waits for it.
"""
