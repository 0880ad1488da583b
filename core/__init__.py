"""The ground floor: what every room stands on, and what knows no tenant, no job and no run."""
