"""The beat process: the clock of all schedules, and the maintenance tasks that the elected beat sends."""
