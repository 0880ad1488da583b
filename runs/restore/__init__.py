"""Brings back a database that was restored from a backup."""
