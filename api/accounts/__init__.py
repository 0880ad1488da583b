"""The API's resources of accounts."""
