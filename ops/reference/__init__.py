"""The pages under `docs/reference/`, made from the OpenAPI document: see `manage.py write_reference`."""
