"""Name imported jobs: by the comment above, else by the URL, without credentials."""

import re
from itertools import pairwise

_NAME_LENGTH = 200
_DECORATION = " \t-=*#~_+"
_PREFIX = re.compile(r"ansible:\s*", re.IGNORECASE)
_BEGINS = re.compile(r"[\w\[('\"]")
_SCHEDULE = re.compile(r"(?<!\S)[-\d*][\d*/,~-]*[ \t]+(?:[\d*][\d*/,~-]*[ \t]+){2}[\w*/,~-]+[ \t]+[\w*/,~-]+")
_PRESET = re.compile(r"(?<!\S)@(?:reboot|yearly|annually|monthly|weekly|daily|midnight|hourly|every)\b", re.IGNORECASE)
_COMMAND = re.compile(r"://|\b(?:curl|wget)\s+['\"\w-]|(?<!\S)/(?:\w+/)+\w|&&|\|\||>>|\$\(|-H\b", re.IGNORECASE)
_ASSIGNMENT = re.compile(r"[\w-]\s*=|=\s*\S")
_COLUMNS = (
    {"m", "min", "mins", "minute", "minutes"}, {"h", "hr", "hour", "hours"}, {"dom", "day", "day-of-month", "mday"},
    {"mon", "month", "months"}, {"dow", "weekday", "wday", "day-of-week"}, {"command", "cmd"},
    {"user", "username", "user-name", "who"},
)  # fmt: skip
_MIN_COLUMNS = 3
_BOILERPLATE = re.compile(
    r"do not edit|edit this file|installed (?:on|from)|cron version|^vim?:|-\*-|shellcheck|crontab\(|^(?:eof|end)\b",
    re.IGNORECASE,
)
_LABELLED = re.compile(
    r"\b(?:pass(?:word|wd|phrase)?|pwd|pw|secret|token|api[-_ ]?key|key|auth(?:orization)?|credentials?)\b"
    r"(?:\s*[:=]|\s+(?:is\s+)?\S*[\d$!@%^+/])|\bbearer\s+\S|\S:\S*@",
    re.IGNORECASE,
)
_KNOWN_TOKEN = re.compile(
    r"\b(?:eyJ|sk[-_]|pk_|rk_|ghp_|gho_|github_pat|glpat-|xox[a-z]-|AKIA|AIza|hf_|npm_|SG\.|whsec_)"
)
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_RUN = re.compile(r"[A-Za-z0-9+]+")
_MIN_RUN, _LONG_MIXED, _LONG_WORD, _LONG_NUMBER = 6, 12, 24, 9
_SWITCHES, _CASE_SHARE = 3, 0.25
_BEFORE_A_TOKEN = frozenset(
    {"token", "tokens", "key", "keys", "secret", "secrets", "auth", "hook", "hooks", "webhook", "webhooks", "services"}
)


def name_in_comment(comment: str) -> str | None:
    """Return the name in a comment; None for a commented-out job, a header, a divider or a credential."""
    raw = comment.lstrip("#").strip()
    if comment.startswith("#!") or _SCHEDULE.search(raw) or _is_header(raw):
        return None
    text = comment.strip(_DECORATION).removesuffix(":").strip(_DECORATION)
    text = _PREFIX.sub("", text)
    if not _BEGINS.match(text) or not any(character.isalpha() for character in text):
        return None
    patterns = (_PRESET, _COMMAND, _ASSIGNMENT, _BOILERPLATE)
    if any(pattern.search(text) for pattern in patterns) or holds_credential(text):
        return None
    return text[:_NAME_LENGTH]


def name_of_url(url: str) -> str:
    """Return the host and path of a URL, up to what looks like a credential."""
    match = re.match(r"[a-z]+://(?P<authority>[^/?#]*)(?P<path>[^?#]*)", url, re.IGNORECASE)
    if match is None:
        return "job"
    labels = match["authority"].rpartition("@")[2].split(".")
    host = ".".join(label for at, label in enumerate(labels) if at >= len(labels) - 2 or not holds_credential(label))
    segments = [host]
    for segment in match["path"].split("/")[1:]:
        if segments[-1].lower() in _BEFORE_A_TOKEN or re.search(r"[=:;@%{]", segment) or holds_credential(segment):
            break
        segments.append(segment)
    return "/".join(segments).strip("/")[:_NAME_LENGTH] or "job"


def holds_credential(text: str) -> bool:
    """Return whether a text may hold a password, token or key; false positives are fine."""
    return bool(
        _LABELLED.search(text)
        or _KNOWN_TOKEN.search(text)
        or _UUID.search(text)
        or any(_looks_random(run[0]) for run in _RUN.finditer(text))
    )


def _looks_random(run: str) -> bool:
    """Return whether letters and digits without a gap look random, unlike words and numbers."""
    if len(run) < _MIN_RUN:
        return False
    digits = sum(character.isdigit() for character in run)
    if digits == len(run):
        return len(run) > _LONG_NUMBER
    if digits:
        switches = sum(left.isdigit() != right.isdigit() for left, right in pairwise(run))
        mixed_case = run != run.lower() and run != run.upper()
        return switches >= _SWITCHES or mixed_case or len(run) >= _LONG_MIXED
    rises = sum(left.islower() and right.isupper() for left, right in pairwise(run))
    return len(run) > _LONG_WORD or (rises >= _SWITCHES and rises / len(run) > _CASE_SHARE)


def _is_header(text: str) -> bool:
    """Return whether a comment is the header of a crontab's columns."""
    words = set(re.split(r"[^\w-]+", text.lower()))
    return sum(bool(words & column) for column in _COLUMNS) >= _MIN_COLUMNS or "day of week" in text.lower()
