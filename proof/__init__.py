"""The delivery protocol, proven: as a model that is searched whole, and as a log of real rows held against it."""
