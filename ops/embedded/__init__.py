"""The embedded PostgreSQL and Valkey: their binaries, directories, account and start. Imports no Django."""
