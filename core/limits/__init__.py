"""How often one caller may ask: the rate, the bucket in Redis that keeps it, and whose address a request came from."""
