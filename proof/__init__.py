"""Proves the delivery protocol: a model that is searched exhaustively, and real rows compared with it."""
