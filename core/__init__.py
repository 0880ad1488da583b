"""The ground floor, which every package may import: it knows no tenant, no job and no run."""
