"""Values that are shown once, after they are created: keys, signing secrets, invitation links."""

from django.forms.widgets import Script
from django.utils.html import format_html
from django.utils.safestring import SafeString

#: The script of the copy button.
COPYING = Script("hourhand/copy.js", defer=True)


def shown_once(text: str, value: str) -> SafeString:
    """A message with the value and a copy button. Messages are in a cookie, so the server stores no value."""
    return format_html(
        '{} <span class="hh-once"><code id="shown-once">{}</code>'
        '<button class="hh-button" type="button" data-copies="shown-once" hidden>'
        '<span class="material-symbols-outlined" aria-hidden="true">content_copy</span>Copy</button>'
        '<span role="status"></span></span>',
        text, value,
    )  # fmt: skip
