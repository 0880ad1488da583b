"""Routes of jobs and of what they use: environments, secrets, retry policies, schedules, usage."""
