"""`manage.py up` and `manage.py with_services`."""
