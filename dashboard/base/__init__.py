"""What all pages share: access, base classes of admins, lists, charts, and the start page."""
