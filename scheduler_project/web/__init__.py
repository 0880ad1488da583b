"""The web server: gunicorn's event loop reads requests and writes responses, with deadlines; threads run Django.

A thread takes a request once it is complete, and is free before the response is written. So a slow or silent client
costs a socket and some memory, and blocks no other client.
"""
