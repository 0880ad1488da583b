"""The one validator of job definitions: for the API, the forms and imports, with how a job is represented."""
