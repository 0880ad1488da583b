"""The environment of the embedded services. It inherits nothing: PGOPTIONS or LC_ALL would change them."""

SERVICE_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C",
    "LC_ALL": "C",
    "TZ": "UTC",
}
