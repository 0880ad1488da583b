"""Validation and representation of job definitions, for the API, the forms and imports."""
