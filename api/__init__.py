"""The REST API: a package for the resources of each app, on a shared base."""
