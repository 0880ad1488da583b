"""The release of Hourhand."""

__version__ = "0.1.0"
#: The User-Agent of outgoing requests, unless the job sets its own.
USER_AGENT = f"Hourhand/{__version__}"
