"""What was planned beside what was recorded, occurrence by occurrence, with the reason of each difference."""
