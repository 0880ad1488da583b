"""The values that a browser without JavaScript submits for a form, parsed from its page."""

from html.parser import HTMLParser
from typing import Any

#: Names that several checkboxes share.
_SEVERAL = frozenset({"environments", "callback_on"})


class _Controls(HTMLParser):
    """Collects the values of one form's controls."""

    def __init__(self, form_id: str) -> None:
        super().__init__()
        self.values: dict[str, Any] = {}
        self._form_id = form_id
        self._inside = False
        self._templates = 0
        self._select: str | None = None
        self._area: tuple[str, list[str]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        name = found.get("name") or ""
        if tag == "form":
            self._inside = found.get("id") == self._form_id
        elif tag == "template":
            self._templates += 1
        elif not self._inside or self._templates:
            return
        elif tag == "input" and (found.get("type") not in ("checkbox", "radio") or "checked" in found):
            self._put(name, found.get("value") or ("on" if found.get("type") == "checkbox" else ""))
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and ("selected" in found or self._select not in self.values):
            self.values[self._select] = found.get("value") or ""
        elif tag == "textarea":
            self._area = (name, [])

    def handle_endtag(self, tag: str) -> None:
        if tag == "template":
            self._templates -= 1
        elif tag == "form":
            self._inside = False
        elif tag == "select":
            self._select = None
        elif tag == "textarea" and self._area:
            name, pieces = self._area
            text = "".join(pieces).replace("\r\n", "\n").removeprefix("\n")
            self.values[name] = text.replace("\n", "\r\n")
            self._area = None

    def handle_data(self, data: str) -> None:
        if self._area:
            self._area[1].append(data)

    def _put(self, name: str, value: str) -> None:
        if name in _SEVERAL:
            self.values.setdefault(name, []).append(value)
        elif name:
            self.values[name] = value


def submitted_values(page: str, *, form_id: str) -> dict[str, Any]:
    """Return the values by name, with line breaks as CR LF and a list for checkboxes of one name."""
    controls = _Controls(form_id)
    controls.feed(page)
    return controls.values
