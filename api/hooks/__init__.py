"""Routes that others call without a key: the URLs of inbound webhooks and of waiting workflows."""
