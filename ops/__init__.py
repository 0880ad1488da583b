"""How an installation is run: the supervisor, embedded services, the doctor, metrics, and every manage.py command."""
