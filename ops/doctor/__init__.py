"""`manage.py doctor`: examines an installation and says what is wrong and what to do.

Configuration is examined by Django's system checks, in `ops/checks`. State, such as processes, queues and disks, is
examined here: Django waits for a check as long as it takes, and has no result for one that cannot be made.
"""
