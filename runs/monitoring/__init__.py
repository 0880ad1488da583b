"""What the installation looks like at this moment: processes, lags, jobs in trouble, settings that differ."""
