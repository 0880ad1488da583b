"""Test calls: a job's request, sent once by a worker and answered to the caller; history keeps nothing of it."""
