"""Claim, lease and fence as an explicit-state model in plain Python. It imports nothing of the product."""
