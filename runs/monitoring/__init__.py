"""The installation at this moment: processes, lags, problem jobs, settings that differ."""
