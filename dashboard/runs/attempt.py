"""An attempt's card: its run, the phases of its exchange, and its request as a curl command."""

from dataclasses import dataclass
from typing import Any

from dashboard.runs.curl import CurlCommand, curl_command
from dashboard.runs.waterfall import Bar, phases
from runs.attempts.redaction import REDACTED
from runs.models import Run


@dataclass(frozen=True, slots=True)
class ShownRun:
    """An attempt's card. `hidden_*` count the redacted values in the request and in the response."""

    run: Run
    phases: tuple[Bar, ...]
    curl: CurlCommand
    hidden_sent: int
    hidden_received: int

    @classmethod
    def of(cls, run: Run) -> "ShownRun":
        sent, received = run.request_headers or {}, run.response_headers or {}
        return cls(
            run,
            phases(run),
            curl_command(
                method=run.request_method,
                url=run.request_url,
                headers=sent,
                body=run.request_body,
                body_encoding=run.request_body_encoding,
            ),
            hidden_sent=_hidden(*sent.values(), run.request_url, run.request_body),
            hidden_received=_hidden(*received.values(), run.response_body),
        )


def _hidden(*texts: Any) -> int:
    return sum(str(text).count(REDACTED) for text in texts if text)
