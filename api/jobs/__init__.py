"""The API's resources of jobs."""
