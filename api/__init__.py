"""The REST API: one package for each app's resources, on a base that all share. It asks the apps, and shows."""
