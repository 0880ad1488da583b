"""Which release of Hourhand this is."""

__version__ = "0.1.0"
#: What outgoing calls say they are, unless the job says otherwise.
USER_AGENT = f"Hourhand/{__version__}"
