"""Strict fields and serializers: they refuse what they do not know, and say what is valid."""
