"""An installation's configuration, as Django system checks for `manage.py check --deploy`, the start and the doctor.

Each message's id is `hourhand.` and the name of the doctor's finding.
"""

from ops.checks import configuration, data_directory, database, outbound, software

__all__ = ["configuration", "data_directory", "database", "outbound", "software"]
