"""What is shown once, right after it was made: keys, signing secrets, links. Nobody can read it again."""

from django.forms.widgets import Script
from django.utils.html import format_html
from django.utils.safestring import SafeString

#: A page that may show such a thing has this script, for the button that copies it.
COPYING = Script("hourhand/copy.js", defer=True)


def shown_once(told: str, value: str) -> SafeString:
    """A message with what to keep, and a button that copies it. It travels in the answer and a cookie, not in a row."""
    return format_html(
        '{} <span class="hh-once"><code id="shown-once">{}</code>'
        '<button class="hh-button" type="button" data-copies="shown-once" hidden>'
        '<span class="material-symbols-outlined" aria-hidden="true">content_copy</span>Copy</button>'
        '<span role="status"></span></span>',
        told, value,
    )  # fmt: skip
