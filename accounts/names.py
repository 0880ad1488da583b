"""How things are called. Pure."""

#: A regular expression for the name of a secret.
SECRET_NAME_FORM = "[A-Z][A-Z0-9_]{0,63}"  # noqa: S105 - a form, not a secret
