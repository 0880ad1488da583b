"""From a claim to a recorded run: requests, redaction, retry, recording, and the attempts of lost workers."""
