"""The environment the embedded services start with: nothing of the operator's (PGOPTIONS, LC_ALL) leaks into it."""

SERVICE_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C",
    "LC_ALL": "C",
    "TZ": "UTC",
}
