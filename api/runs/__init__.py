"""The API's resources of runs."""
