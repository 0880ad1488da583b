"""A job's request sent once by a worker and answered to whoever asked; history keeps nothing of it."""
