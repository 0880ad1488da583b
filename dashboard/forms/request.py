"""The section of the HTTP request."""

from typing import Any, ClassVar

from django import forms

from dashboard.forms.fields import area, choice, flag, json_in, seconds, text
from jobs.validation.sections import METHODS


class RequestPart(forms.Form):
    PATHS: ClassVar[dict[str, str]] = {
        "method": "request.method",
        "url": "request.url",
        "headers": "request.headers",
        "body": "request.body",
        "timeout_seconds": "request.timeout_seconds",
        "tls_verify": "request.tls_verify",
        "ca_cert": "request.ca_cert",
        "client_cert": "request.client_cert",
    }

    method = choice([(method, method) for method in METHODS])
    url = text(
        required=True, label="URL", spellcheck="false", inputmode="url", placeholder="https://", takes_variables=True
    )
    headers = area(
        rows=4, help_text="One per line, for example <code>Content-Type: application/json</code>.", takes_variables=True
    )
    body = area(
        rows=4,
        strip=False,
        help_text="The body, URL and header values can contain variables such as <code>{{timestamp}}</code> and "
        "<code>{{secrets.NAME}}</code>.",
        takes_variables=True,
    )
    timeout_seconds = seconds(label="Timeout, seconds", help_text="For the whole call: 1 to 300.")
    tls_verify = flag("Verify the TLS certificate", "Off: any server can answer the call.")
    ca_cert = area(
        rows=4,
        label="CA certificate",
        help_text="One or more PEM certificates, trusted instead of the public authorities.",
        placeholder="-----BEGIN CERTIFICATE-----",
    )

    client_cert = area(
        rows=3,
        label="Client certificate",
        help_text="For endpoints that require one. The certificate and its key are secrets with PEM values.",
        placeholder='{"cert": "{{secrets.CERT}}", "key": "{{secrets.KEY}}"}',
    )

    def clean_headers(self) -> dict[str, str]:
        return headers_in(self.cleaned_data["headers"])

    def clean_body(self) -> str | None:
        return self.cleaned_data["body"] or None

    def clean_ca_cert(self) -> str | None:
        return self.cleaned_data["ca_cert"] or None

    def clean_client_cert(self) -> Any:
        text = self.cleaned_data["client_cert"]
        return json_in(text) if text.strip() else None


def headers_in(text: str) -> dict[str, str]:
    """Parse headers, one per line. Raises forms.ValidationError."""
    headers: dict[str, str] = {}
    for line in filter(str.strip, text.splitlines()):
        name, colon, value = line.partition(":")
        if not colon:
            raise forms.ValidationError(f"{line.strip()!r} must have the form “Name: value”.")
        if name.strip().lower() in (other.lower() for other in headers):
            raise forms.ValidationError(f"{name.strip()} is given twice.")
        headers[name.strip()] = value.strip()
    return headers
