"""Commands become the call that they make, found by running them, or are refused with a correct example."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jobs.imports import ReadError, objects_in
from jobs.imports.commands import read_command
from jobs.imports.shell import commands_in
from tests.support.shell_calls import MISSING, Server, as_called, differences, serving

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json", "Accept": "application/json"}
U = "https://a.test/x"
GET = {"url": U, "method": "GET"}


def request_of(command: str, stdin: str | None = None) -> dict[str, Any]:
    return read_command(command, stdin=stdin).definition()["request"]


@pytest.mark.parametrize(
    ("command", "request_"),
    [
        (U, GET),
        ("https://a.test/?a=1&b=2", {"url": "https://a.test/?a=1&b=2", "method": "GET"}),
        (f"'{U}'", GET),
        (f"curl {U}", GET),
        (f"curl\t-s \t{U}", GET),
        (f"/usr/bin/curl -fsSo /dev/null {U}", GET),
        (f'"/usr/bin/curl" {U}', GET),
        ("curl a.test", {"url": "http://a.test", "method": "GET"}),
        ("curl localhost:8000/x", {"url": "http://localhost:8000/x", "method": "GET"}),
        ("curl '[::1]:80/x'", {"url": "http://[::1]:80/x", "method": "GET"}),
        (f"curl -XDELETE --url {U}", {"url": U, "method": "DELETE"}),
        (f"curl -fsSX POST {U}", {"url": U, "method": "POST"}),
        (f"curl -I {U}", {"url": U, "method": "HEAD"}),
        (f"curl -H 'A: b c' -A me {U}", {**GET, "headers": {"A": "b c", "User-Agent": "me"}}),
        (f"curl -H 'User-Agent: x' -A me {U}", {**GET, "headers": {"User-Agent": "x"}}),
        (f"curl -H 'X-Empty;' -H 'Accept:' -H 'Expect:' {U}", {**GET, "headers": {"X-Empty": ""}}),
        (f"curl -e http://r/ -b 'a=1; b=2' {U}", {**GET, "headers": {"Referer": "http://r/", "Cookie": "a=1; b=2"}}),
        (f"curl -d a=1 --data b=2 {U}", {"url": U, "method": "POST", "headers": FORM, "body": "a=1&b=2"}),
        (f"curl -d '' {U}", {"url": U, "method": "POST", "headers": FORM, "body": ""}),
        (f'curl -d "" {U}', {"url": U, "method": "POST", "headers": FORM, "body": ""}),
        (f'curl -d ";" {U}', {"url": U, "method": "POST", "headers": FORM, "body": ";"}),
        (f"curl -d '&&' {U}", {"url": U, "method": "POST", "headers": FORM, "body": "&&"}),
        (f"curl -d \\; {U}", {"url": U, "method": "POST", "headers": FORM, "body": ";"}),
        (f"curl -d 'a > b | c' {U}", {"url": U, "method": "POST", "headers": FORM, "body": "a > b | c"}),
        (f"curl -X PUT -d x -H 'Content-Type:' {U}", {"url": U, "method": "PUT", "body": "x"}),
        (f"curl --json '{{\"a\":1}}' {U}", {"url": U, "method": "POST", "headers": JSON, "body": '{"a":1}'}),
        (f"curl --json '{{}}' {U}", {"url": U, "method": "POST", "headers": JSON, "body": "{}"}),
        (f"curl --json 1 -H 'accept: x/y' {U}",
         {"url": U, "method": "POST", "headers": {"accept": "x/y", "Content-Type": "application/json"}, "body": "1"}),
        (f"curl --data-raw @x {U}", {"url": U, "method": "POST", "headers": FORM, "body": "@x"}),
        (f"curl --data-urlencode 'q=a b&c' {U}", {"url": U, "method": "POST", "headers": FORM, "body": "q=a+b%26c"}),
        (f"curl -G -d a=1 -d b=2 {U}", {"url": f"{U}?a=1&b=2", "method": "GET"}),
        (f"curl -G -d b=2 '{U}?a=1'", {"url": f"{U}?a=1&b=2", "method": "GET"}),
        (f"curl -H 'content-type: text/plain' -d x {U}",
         {"url": U, "method": "POST", "headers": {"content-type": "text/plain"}, "body": "x"}),
        (f"curl --max-time 2.5 -k {U}", {**GET, "timeout_seconds": 2.5, "tls_verify": False}),
        (f"curl -m 20 {U} >/dev/null 2>&1", {**GET, "timeout_seconds": 20}),
        (f"curl {U} &>/dev/null # nightly", GET),
        (f"curl -g '{U}?a=[1-3]'", {"url": f"{U}?a=[1-3]", "method": "GET"}),
        (f"curl '{U}?a=1&b=$c'", {"url": f"{U}?a=1&b=$c", "method": "GET"}),
        (f'curl -d "\\$5 \\"x\\" \\x" {U}', {"url": U, "method": "POST", "headers": FORM, "body": '$5 "x" \\x'}),
        (f"curl -H 'Authorization: Bearer {{{{secrets.TOKEN}}}}' {U}",
         {**GET, "headers": {"Authorization": "Bearer {{secrets.TOKEN}}"}}),
        (f"wget -q -O - {U}", GET),
        (f"wget -qO- {U}", GET),
        (f"wget --quiet --output-document=/dev/null {U}", GET),
        (f"wget --spider {U}", {"url": U, "method": "HEAD"}),
        (f"wget --post-data='a=1' {U}", {"url": U, "method": "POST", "headers": FORM, "body": "a=1"}),
        (f"wget --method=put --body-data x --header 'A: b' {U}",
         {"url": U, "method": "PUT", "headers": {"A": "b", **FORM}, "body": "x"}),
        (f"wget -T 20 --no-check-certificate {U}", {**GET, "timeout_seconds": 20, "tls_verify": False}),
        (f"timeout 30 curl {U}", {**GET, "timeout_seconds": 30}),
        (f"timeout -k 5 -s KILL 2m curl -m 20 {U}", {**GET, "timeout_seconds": 20}),
        (f"timeout 10s curl -m 20 {U}", {**GET, "timeout_seconds": 10}),
        (f"nice -n 19 ionice -c2 -n7 env A=b chronic nohup curl {U}", GET),
        (f"nice -19 time exec curl {U}", GET),
        (f"cronitor exec abc curl {U}", GET),
        (f"cronitor exec abc 'curl {U}'", GET),
        (f"LANG=C curl {U}", GET),
        (f"bash -c 'curl {U} > /dev/null'", GET),
        (f"sh -c \"sh -c 'curl {U}'\"", GET),
        (f"cd / && curl {U}", GET),
        (f"cd /srv; curl {U};", GET),
        (f"curl {U} || true", GET),
        (f"curl {U} && echo ok || exit 1", GET),
        (f"curl {U} &", GET),
        (f"curl {U} >> $HOME/log 2>&1", GET),
        (f"curl {U} < /dev/null", GET),
        (f"curl -o ~/out {U}", GET),
        (f'curl -o "$HOME/out" {U}', GET),
    ],
)  # fmt: skip
def test_a_command_becomes_the_request_that_it_made(command: str, request_: dict[str, Any]) -> None:
    assert request_of(command) == request_


@pytest.mark.parametrize(
    ("command", "policy"),
    [
        (f"curl --retry 4 {U}", {"retry": {"max_attempts": 5}}),
        (f"curl --retry 0 {U}", {"retry": {"max_attempts": 1}}),
        (f"curl --retry 2 --retry-delay 5 {U}", {"retry": {"max_attempts": 3, "backoff": "fixed", "delay_ms": 5000}}),
        (f"wget -t 3 {U}", {"retry": {"max_attempts": 3}}),
        (f"flock -n /tmp/l curl {U}", {"overlap": "skip"}),
        (f"flock --nonblock /tmp/l -c 'curl {U}'", {"overlap": "skip"}),
        (f"flock /tmp/l curl {U}", {"overlap": "queue"}),
        (f"flock -xn /tmp/l timeout 20 nice curl {U}", {"overlap": "skip"}),
    ],
)
def test_retries_and_locks_are_carried_over(command: str, policy: dict[str, Any]) -> None:
    found = read_command(command).definition()
    assert {name: value for name, value in found.items() if name != "request"} == policy


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("/opt/backup.sh", "should be a URL, or curl"),
        ("python3 manage.py clearsessions", "create an endpoint"),
        (f"mpg123 {U}", "runs no programs"),
        (f"echo curl {U}", "runs no programs"),
        (f"'A=b' curl {U}", "runs no programs"),
        (f"nice A=b curl {U}", "runs no programs"),
        ("curl", "has no URL"),
        (f"curl {U} {U}", "has two URLs"),
        (f"curl --url {U} {U}", "has two URLs"),
        (f"curl {U} --next {U}", "--next starts another"),
        (f"curl {U} -: {U}", "--next starts another"),
        (f"curl {U}?a=1&b=2", "quote a URL"),
        (f"curl {U} | grep ok", "without a shell, so |"),
        (f"curl {U} && curl {U}", "without a shell, so &&"),
        (f"curl {U} || curl {U}", "without a shell, so ||"),
        (f"curl {U}; rm x", "without a shell, so ;"),
        (f"curl {U} || mail -s x me", "without a shell, so ||"),
        (f"/opt/backup.sh && curl {U}", "without a shell, so &&"),
        (f"(curl {U})", "without a shell, so ("),
        (f"curl -d @- {U} < data", "without a shell, so <"),
        (f"curl -d @- {U} <<< x", "without a shell, so <<<"),
        (f"curl {U}/$DAY", "without a shell: write values"),
        (f'curl "{U}/$(date)"', "without a shell: write values"),
        (f"curl {U} > log-$(date)", "without a shell: write values"),
        (f"curl {U}/`date`", "without a shell: write values"),
        (f"curl -d $'a\\nb' {U}", "plain quotes"),
        (f"curl -d * {U}", "quote "),
        (f"curl -d {{a,b}} {U}", "quote "),
        (f"curl 'x {U}", "quotes don't match"),
        (f'curl "x {U}', "quotes don't match"),
        (f"curl {U} \\", "ends with a backslash"),
        (f"curl -d 'a\x0cb' {U}", "control character"),
        (f"curl -d a\rb {U}", "control character"),
        (f"curl -L {U}", "follows no redirects"),
        (f"curl -fsSL {U}", "follows no redirects"),
        (f"curl -u a:b {U}", "as a secret"),
        (f"curl --oauth2-bearer x {U}", "as a secret"),
        (f"curl -F a=b {U}", "instead of -F"),
        (f"curl -T file {U}", "read for -T"),
        (f"curl -x http://proxy {U}", "remove -x"),
        (f"curl -z 1 {U}", "-z is not supported"),
        (f"curl -r 0-9 {U}", "-r is not supported"),
        (f"curl --http1.1 {U}", "--http1.1 is not supported"),
        (f"curl --resolve a:80:1.2.3.4 {U}", "--resolve is not supported"),
        (f"curl --max-time=5 {U}", "--max-time=5 is not supported"),
        (f"curl --path-as-is {U}", "--path-as-is is not supported"),
        (f"curl -4 {U}", "-4 is not supported"),
        (f"curl {U} -d", "needs a value"),
        (f"curl -d @body.json {U}", "Files can't be read"),
        (f"curl -d @- {U}", "--data has no input to read"),
        (f"curl --data-urlencode a@f {U}", "Files can't be read"),
        (f"curl -d '' -d b {U}", "empty one before others"),
        (f"curl -b jar {U}", "read for -b"),
        (f"curl -b a=1 -b b=2 {U}", "after one -b"),
        (f"curl -m soon {U}", "followed by a number"),
        (f"curl -m 1e2 {U}", "followed by a number"),
        (f"curl -m nan {U}", "followed by a number"),
        (f"curl -m 0 {U}", "at most 300"),
        (f"curl --retry 1.5 {U}", "a whole number"),
        (f"curl --retry -1 {U}", "a whole number"),
        (f"curl --retry 3x {U}", "a whole number"),
        (f"curl -H Accept {U}", "Name: value"),
        (f"curl -H @headers {U}", "read for -H"),
        (f"curl -H 'Host:' {U}", "is always sent"),
        (f"curl -H 'A: 1' -H 'a: 2' {U}", "is given twice"),
        (f"curl -H 'A: 1' -H 'A: 1' {U}", "is given twice"),
        (f"curl -H 'A b: 1' {U}", "not a valid header name"),
        (f"curl -A '' {U}", "can't be imported"),
        (f"curl -e ';auto' {U}", "can't be imported"),
        (f"curl -X post {U}", "write -X POST"),
        (f"curl -I -d x {U}", "A HEAD request has no body"),
        (f"curl -X HEAD -d x {U}", "A HEAD request has no body"),
        ("curl http://h/i[1-3]", "several calls"),
        ("curl 'http://h/{a,b}'", "several calls"),
        ("curl http://h[1-3].test/", "several calls"),
        ("http://h/i[1-3]", "several calls"),
        ("curl http:/h/x", "start with http"),
        ("curl ftp://h/x", "start with http"),
        ("curl ftp.h.test/x", "start with http"),
        ("curl file:///etc/passwd", "start with http"),
        ("curl http://h/a/../b", "no . or .."),
        ("curl http://h/%2e%2e/b", "no . or .."),
        ("curl 'http://h/a b'", "percent-encode it"),
        ("curl http://h/é", "percent-encode it"),
        (f"curl -d '{{{{uuid}}}}' {U}", "only use {{secrets.NAME}}"),
        (f"curl -H 'A: {{{{x' {U}", "only use {{secrets.NAME}}"),
        (f"http_proxy=http://p:1 curl {U}", "http_proxy changes what is called"),
        (f"env HTTPS_PROXY=p curl {U}", "HTTPS_PROXY changes what is called"),
        (f"wget -i list {U}", "-i is not supported"),
        (f"wget -r {U}", "-r is not supported"),
        (f"wget -nc {U}", "makes no call if"),
        (f"wget -qN {U}", "newer than a file"),
        (f"wget -c {U}", "the rest of a file"),
        (f"wget -t 0 {U}", "without end"),
        (f"wget --user a --password b {U}", "as a secret"),
        (f"wget --post-file x {U}", "--post-file is not supported"),
        ("wget http://h/%c3%a9", "would change this URL"),
        ("wget 'http://h/a|b'", "would change this URL"),
        (f"wget --header 'A: 1' --header 'A: 2' {U}", "is given twice"),
        (f"timeout soon curl {U}", "followed by a duration"),
        (f"timeout --bad 3 curl {U}", "--bad is not supported"),
        (f"flock -w 5 /tmp/l curl {U}", "-w is not supported"),
        (f"flock -s /tmp/l curl {U}", "-s is not supported"),
        ("flock -n 9", "followed by a file and a command"),
        (f"flock -n a flock -n b curl {U}", "has two"),
        (f"sleep 90; curl {U}", "less than a minute"),
        (f"sleep 40; sleep 40; curl {U}", "less than a minute"),
        (f"sleep $((RANDOM % 60)); curl {U}", "without a shell"),
        ("sh -c 'sh -c \"sh -c sh\"'", "runs no programs"),
    ],
)  # fmt: skip
def test_a_command_that_hourhand_would_run_differently_is_refused(command: str, told: str) -> None:
    with pytest.raises(ReadError) as refused:
        read_command(command).definition()
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("command", "note"),
    [
        (
            f"curl --compressed -v -i -w x -o FILE {U} >> log",
            "--compressed, --verbose, --include, --write-out, --output",
        ),
        (f"curl {U} >> log", ">> file"),
        (f"curl --connect-timeout 5 {U}", "--connect-timeout is left out"),
        (f"wget -qO- {U}", "follows redirects"),
        (f"wget {U}", "the downloaded file"),
        (f"flock -n /tmp/l curl {U}", "overlap policy: skip"),
        (f"cronitor exec k curl {U}", "cronitor is left out"),
        (f"LANG=C curl {U}", "The variable LANG"),
        (f"cd / && curl {U}", "cd is left out"),
        (f"curl {U} || true", "|| true is left out"),
        (f"curl -H 'Authorization: Bearer x' {U}", "use a secret, {{secrets.NAME}}"),
    ],
)
def test_options_without_an_equivalent_are_noted(command: str, note: str) -> None:
    assert any(note in one for one in read_command(command).all_notes())


@pytest.mark.parametrize("command", [f"curl -fsS {U} >/dev/null 2>&1", U, f"curl -sS --fail-with-body -d x {U}"])
def test_a_lossless_import_has_no_note(command: str) -> None:
    assert read_command(command).all_notes() == ()


# -- the same commands, run by a shell ---------------------------------------------------------------------------------

words = st.sampled_from(
    [
        "a=1", "a b", "", '{"a":1}', "x&y;z", "a%20b", "é", "@-", "@file", "=x y", "n=v w/", "a\\b", "$5", "$A", "`x`",
        "#h", "*", "a'b", 'say "x"', "%", "a\\\\", "!", "~", "{a,b}", "-d", "--", "\\n",
    ]
)  # fmt: skip
headers = st.sampled_from(
    [
        "X-A: 1", "X-A: 2", "x-a: 3", "Content-Type: text/plain", "Content-Type:", "Accept:", "Accept: x/y", "X-B;", "X-C:",  # noqa: E501
        "Expect:", "Cookie: z=1", "User-Agent: me", "Referer: r", "X-D:  s  p ", "nonsense", "X-F;y",
    ]
)  # fmt: skip


def quoted(text: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def quote(pair: tuple[str, str]) -> str:
        value, mark = pair
        return value if not mark else mark + value + mark

    return st.tuples(text, st.sampled_from(["'", "'", "'", '"', ""])).map(quote)


def option(name: str, values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(st.sampled_from([f"{name} ", f"{name} ", name if len(name) == 2 else f"{name} "]), values).map(
        "".join
    )


urls = quoted(
    st.tuples(
        st.sampled_from(
            ["", "/", "/a", "/a", "/a/b", "/e%2Fpath", "/%C3%A9", "/a/../b", "/[1-3]", "/x;y", "/(x)", "/a!b"]
        ),
        st.sampled_from(["", "", "?a=1", "?a=1&b=2", "?q=100%", "?", "?x=[1]", "?a=b#frag", "#f", "?u=http://x/"]),
    ).map(lambda parts: "ORIGIN" + "".join(parts))
)
curl_options = st.one_of(
    option("-X", st.sampled_from(["GET", "POST", "PUT", "DELETE", "put", "PATCH"])),
    option("-H", quoted(headers)), option("-H", quoted(headers)), option("-d", quoted(words)), option("-d", quoted(words)),  # noqa: E501
    option("--data-raw", quoted(words)), option("--data-binary", quoted(words)), option("--json", quoted(words)),
    option("--data-urlencode", quoted(words)), option("-A", quoted(st.sampled_from(["me", "", "a b"]))),
    option("-e", quoted(st.sampled_from(["http://r/", "", ";auto"]))), option("-b", quoted(st.sampled_from(["a=b", "f"]))),  # noqa: E501
    st.sampled_from(["-G", "-I", "-g", "-s", "-fsS", "-sSX POST", "-m 5", "-o /dev/null", "-v", "-i", "-w x", "-k", "-q"]),  # noqa: E501
    st.sampled_from(["--compressed", "--retry 1", "--http1.1", "-r 0-5", "-F a=b", "-u a:b", "--connect-timeout 3"]),
)  # fmt: skip
wget_options = st.one_of(
    option("--header", quoted(headers)), option("--post-data", quoted(words)), option("--body-data", quoted(words)),
    st.sampled_from(["-q", "-O -", "-qO-", "-nv", "-nc", "-N", "-S", "-T 3", "-t 1", "--spider", "--no-cache", "-U me"]),  # noqa: E501
    st.sampled_from(["--method=PUT", "--method=put", "--max-redirect=0", "--referer=http://r/", "-P sub", "--save-headers"]),  # noqa: E501
)  # fmt: skip
before = st.sampled_from(
    [
        "", "", "", "timeout 5 ", "nice -n 5 ", "nice -5 ", "flock -n lock ", "env A=b ", "A=b ", "cd / && ", "sleep 0; ",  # noqa: E501
        "/usr/bin/", "nohup ", "nice A=b ", "exec ", "'A=b' ", "timeout -k 2 -s KILL 5s ",
    ]
)  # fmt: skip
after = st.sampled_from(
    [
        "", "", "", " > /dev/null", " >/dev/null 2>&1", " >> log", " || true", " && echo ok", "; exit 0", " # c", " | cat",  # noqa: E501
        " && curl ORIGIN/2", " 2>$HOME/x", " < /dev/null", " < nothere", " 2", "'", " 2>&1 2> /dev/null",
    ]
)  # fmt: skip


@st.composite
def command_lines(draw: st.DrawFn) -> str:
    program, options = draw(st.sampled_from([("curl", curl_options), ("curl", curl_options), ("wget", wget_options)]))
    parts = draw(st.lists(options, max_size=3))
    parts.insert(draw(st.integers(0, len(parts))), draw(urls))
    return draw(before) + " ".join([program, *parts]) + draw(after)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(Path(tmp_path_factory.mktemp("cwd"))) as running:
        yield running


@pytest.mark.skipif(bool(MISSING), reason=f"the machine has no {', '.join(MISSING)}")
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(line=command_lines(), stdin=st.sampled_from([None, "one\ntwo\n"]))
@example(line="curl -d @- ORIGIN", stdin="one\ntwo\n")
@example(line="curl --data-binary @- ORIGIN", stdin="one\ntwo\n")
@example(line="curl --json @- ORIGIN", stdin="one\ntwo\n")
@example(line="curl --data-urlencode a@- ORIGIN", stdin="one\ntwo\n")
@example(line="curl -G --data-urlencode 'q=a b' -d c=1 'ORIGIN/x?d=2'", stdin=None)
@example(line="curl -d a=1 --json '{}' ORIGIN", stdin=None)
@example(line="curl --json '{}' -d a=1 ORIGIN", stdin=None)
@example(line='curl -d "a\\$b\\`c\\"d\\\\e\\f" ORIGIN', stdin=None)
@example(line="curl -X POST ORIGIN 2> /dev/null", stdin=None)
@example(line="wget -q --no-cache -O - --post-data '' ORIGIN/a", stdin=None)
@example(line="flock lock -c 'timeout 5 curl ORIGIN/a'", stdin=None)
def test_a_command_makes_the_same_call_as_in_a_shell(server: Server, line: str, stdin: str | None) -> None:
    command = line.replace("ORIGIN", server.origin)
    try:
        request = request_of(command, stdin)
    except ReadError:
        return
    received = server.run(command, stdin or "")
    assert len(received) == 1, command
    assert not differences(received[0], as_called(request, origin=server.origin)), command


@pytest.mark.skipif("sh" in MISSING, reason="the machine has no sh")
@settings(max_examples=100, deadline=None)
@given(st.text("ab'\"\\ \t$;&|<>#{},.~*?[=1-", max_size=9))
def test_words_are_split_as_a_shell_splits_them(server: Server, text: str) -> None:
    line = f"p {text}"
    try:
        commands = commands_in(line)
        words_ = [word.value for command in commands for word in command.words]
    except ReadError:
        return
    if len(commands) != 1 or commands[0].then or commands[0].redirections:
        return
    assert server.printed(f"p() {{ printf '[%s]' \"$@\"; }}\n{line}") == "".join(
        f"[{word}]" for word in words_[1:] or [""]
    )


@pytest.mark.parametrize("value", [None, [], {}, {"jobs": {}}, {"jobs": [], "more": 1}, "jobs"])
def test_a_file_is_one_list_of_jobs(value: Any) -> None:
    with pytest.raises(ReadError):
        objects_in(value)
