"""Attempts: requests, redaction, retries, recording, and the attempts of lost workers."""
