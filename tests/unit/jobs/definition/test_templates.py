"""Template variables: their values, where they are allowed, and that no value escapes its place."""

import copy
import datetime
import json
import pickle
import uuid
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import exact_json
from jobs.definition.contract import RequestDefinition
from jobs.definition.facts import Facts
from jobs.definition.templates import (
    BrokenTemplate,
    RenderingError,
    RequestTemplate,
    TemplateContext,
    TemplateError,
    body_context,
    parse,
)
from jobs.egress import parse_target

ID = "01978f3a-5c1e-7d2b-9f40-2b6f1c9d8e7a"
CREATED = datetime.datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=datetime.UTC)


def facts(*, given=None, secrets=None, scheduled_for=None) -> Facts:
    return Facts(ID, CREATED, scheduled_for, "nightly-report", "production", given, secrets or {})


def rendered(text: str, where: TemplateContext = TemplateContext.TEXT_BODY, **values) -> str:
    return parse(text, where).render(facts(**values))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{timestamp}}", "2026-03-01T12:00:00.123Z"),
        ("{{ unix }}", "1772366400"),
        ("{{execution_id}}", ID),
        ('[{{scheduled_for|default("")}}]', "[]"),
        ("{{job}} in {{environment}}", "nightly-report in production"),
        ("{{input.a.b}}", "deep"),
        ("{{input.list.1}}", "two"),
        ("{{input.a}}", '{"b":"deep"}'),
        ("{{input.flag}}", "true"),
        ("[{{input.none.such|default('')}}]", "[]"),
        ("{{input.nested}}", "{{unix}}"),
        ("{{secrets.API_KEY}}", "s3cr3t"),
        ("a } b }} c", "a } b }} c"),
        ("{{'{{'}}unix}} {{ '{{' }}{", "{{unix}} {{{"),
    ],
)
def test_each_variable_has_its_value(text: str, shown: str):
    given = {"a": {"b": "deep"}, "list": ["one", "two"], "flag": True, "nested": "{{unix}}"}
    assert rendered(text, given=given, secrets={"API_KEY": "s3cr3t"}) == shown


def test_the_scheduled_instant_is_in_utc():
    berlin = datetime.datetime(2026, 3, 1, 3, 0, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
    assert rendered("{{scheduled_for}}", scheduled_for=berlin) == "2026-03-01T02:00:00.000Z"


def test_every_attempt_renders_the_same_uuid():
    assert rendered("{{uuid}}") == rendered("{{uuid}}") == str(uuid.UUID(rendered("{{uuid}}")))
    assert rendered("{{uuid}}") != ID


@pytest.mark.parametrize("name", ["now", "secrets.lower", "secrets", "input.", "input.a b", "", "unix.x", "7*7"])
def test_an_unknown_variable_is_named_with_those_that_exist(name: str):
    with pytest.raises(TemplateError, match="timestamp, unix") as refused:
        parse(f"x {{{{{name}}}}}", TemplateContext.HEADER)
    assert refused.value.code == "unknown_variable"
    assert f"{{{{{name}}}}}" in str(refused.value)


@pytest.mark.parametrize("text", ["{{unix", "{{ {unix}", "{{unix}} {{", "{{'{{", "{{'{{'}", "{{'{{'}}{{"])
def test_an_unclosed_variable_is_refused(text: str):
    with pytest.raises(TemplateError, match=r"for \{\{ itself"):
        parse(text, TemplateContext.TEXT_BODY)


braced = st.lists(st.sampled_from(["{", "}", "'", "{{", "}}", "{{unix}}", "\\", '"', " "]) | st.text(max_size=5)).map(
    "".join
)


def written(text: str) -> str:
    """Return a template that renders to this text."""
    return text.replace("{{", "{{'{{'}}")


@given(text=braced)
def test_a_text_without_variables_renders_to_itself_and_braces_can_be_written(text: str):
    if "{{" not in text:
        assert rendered(text) == text
    assert rendered(written(text)) == text
    assert rendered(written(text), TemplateContext.HEADER) == text


@given(text=braced)
def test_braces_can_be_escaped_in_json_by_any_serialiser(text: str):
    for ascii_only in (True, False):
        body = json.dumps({"a": written(text), "{{'{{'}}": 1}, ensure_ascii=ascii_only)
        assert json.loads(rendered(body, TemplateContext.JSON_BODY)) == {"a": text, "{{": 1}
    assert json.loads(rendered("[{{'{{'}}]", TemplateContext.JSON_BODY)) == ["{{"]


def test_braces_are_escaped_where_they_are_not_allowed():
    assert rendered("https://a.test/x?q={{'{{'}}a}}", TemplateContext.URL) == "https://a.test/x?q=%7B%7Ba}}"
    assert rendered("q={{'{{'}}", TemplateContext.FORM_BODY) == "q=%7B%7B"
    with pytest.raises(TemplateError):
        parse("https://a{{'{{'}}.test/", TemplateContext.URL)


@pytest.mark.parametrize(
    "url",
    [
        "https://{{input.host}}/",
        "https://a.test:{{unix}}/",
        "{{input.url}}",
        "{{input.scheme}}://a.test/",
        "https://a.test{{input.rest}}",
        "https://{{input.user}}@a.test/",
    ],
)
def test_the_origin_can_not_contain_a_variable(url: str):
    with pytest.raises(TemplateError) as refused:
        parse(url, TemplateContext.URL)
    assert refused.value.code == "template_in_host"


@pytest.mark.parametrize(
    "body",
    [r'{"a":"\{{input.x}}"}', r'{"a":"\u00{{input.x}}"}', '{"a":{{input.x}}1}', "{{{input.x}}:1}", '{"a":{{input.x}}'],
)
def test_a_variable_that_could_break_the_json_is_refused(body: str):
    with pytest.raises(TemplateError, match="JSON"):
        parse(body, TemplateContext.JSON_BODY)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(value=st.text(), whole=json_values)
def test_no_value_escapes_its_json_string(value: str, whole):
    missing = '"missing":{{input.x|default(null)}}'
    body = '{"text":"<{{input.value}}>","whole":{{input.whole}},' + missing + ',"last":"\\"{{secrets.S}}"}'
    made = rendered(body, TemplateContext.JSON_BODY, given={"value": value, "whole": whole}, secrets={"S": value})
    assert json.loads(made) == {"text": f"<{value}>", "whole": whole, "missing": None, "last": f'"{value}'}


@given(value=st.text(min_size=1, max_size=60))
def test_no_value_changes_the_host_path_or_query_of_a_url(value: str):
    url = "https://api.test:443/users/id-{{input.v}}/x?first={{input.v}}&last=1#part-{{secrets.S}}"
    made = urlsplit(rendered(url, TemplateContext.URL, given={"v": value}, secrets={"S": value}))
    assert (made.scheme, made.netloc) == ("https", "api.test:443")
    assert parse_target(made.geturl()).origin == "https://api.test:443"
    assert made.path.count("/") == 3
    asked = parse_qsl(made.query, keep_blank_values=True, errors="surrogatepass")
    assert asked == [("first", value), ("last", "1")]


@pytest.mark.parametrize("value", [".", ".."])
def test_no_value_leaves_its_path(value: str):
    with pytest.raises(RenderingError, match="segment"):
        rendered("https://a.test/users/{{input.v}}/delete", TemplateContext.URL, given={"v": value})


@given(value=st.text())
def test_no_value_adds_a_header(value: str):
    if set("\r\n\0") & set(value):
        with pytest.raises(RenderingError, match="control character"):
            rendered("Bearer {{input.v}}", TemplateContext.HEADER, given={"v": value})
    elif value.isprintable():
        assert rendered("Bearer {{input.v}}", TemplateContext.HEADER, given={"v": value}) == f"Bearer {value}"


@given(value=st.text())
def test_no_value_adds_a_field_to_a_form(value: str):
    made = rendered("a={{input.v}}&b=1", TemplateContext.FORM_BODY, given={"v": value})
    assert parse_qsl(made, keep_blank_values=True, errors="surrogatepass") == [("a", value), ("b", "1")]


def test_a_body_is_escaped_as_its_content_type_says():
    assert body_context("x", {"content-type": "application/json; charset=utf-8"}) is TemplateContext.JSON_BODY
    assert body_context("x", {"Content-Type": "application/vnd.api+json"}) is TemplateContext.JSON_BODY
    assert body_context("x", {"Content-Type": "application/x-www-form-urlencoded"}) is TemplateContext.FORM_BODY
    assert body_context('{"a":1}', {"Content-Type": "text/plain"}) is TemplateContext.TEXT_BODY
    assert body_context(' {"a":{{unix}}}', {}) is TemplateContext.JSON_BODY
    assert body_context("{ {{unix}} }", {}) is TemplateContext.TEXT_BODY
    assert body_context("{{unix}}", {}) is TemplateContext.TEXT_BODY


def test_rendered_text_is_bounded():
    with pytest.raises(RenderingError, match="longer"):
        rendered("{{input.v}}" * 90_000, given={"v": "x" * 100_000})


def request(**changes) -> RequestDefinition:
    whole = {"url": "https://a.test/", "method": "POST", "headers": (), "body": None}
    return RequestDefinition(**{**whole, "timeout_seconds": 30, "tls_verify": True, "ca_cert": None, **changes})


@pytest.mark.parametrize(
    ("written", "where", "text"),
    [
        ('{{input.a|default("x")}}', TemplateContext.TEXT_BODY, "x"),
        ("{{input.a|default('x')}}", TemplateContext.TEXT_BODY, "x"),
        ('{{ input.a | default ( "x y" ) }}', TemplateContext.HEADER, "x y"),
        ('https://a.test/{{input.a|default("a/b")}}', TemplateContext.URL, "https://a.test/a%2Fb"),
        ('https://a.test/c/{{input.a|default("")}}', TemplateContext.URL, "https://a.test/c/"),
        ("q={{input.a|default('&')}}", TemplateContext.FORM_BODY, "q=%26"),
        ("{{input.a|default(0)}}", TemplateContext.TEXT_BODY, "0"),
        ('{"a": {{input.a|default(1.10)}}}', TemplateContext.JSON_BODY, '{"a": 1.10}'),
        ('{"a": {{input.a|default(null)}}}', TemplateContext.JSON_BODY, '{"a": null}'),
        ('{"a": {{input.a|default([1, "b"])}}}', TemplateContext.JSON_BODY, '{"a": [1,"b"]}'),
        ('{"a": {{input.a|default("x")}}}', TemplateContext.JSON_BODY, '{"a": "x"}'),
        ('{"a": "<{{input.a|default("x")}}>"}', TemplateContext.JSON_BODY, '{"a": "<x>"}'),
        (json.dumps({"a": '{{input.a|default("x")}}'}), TemplateContext.JSON_BODY, '{"a": "x"}'),
        (json.dumps({"a": '{{input.a|default("q\\"\\\\")}}'}), TemplateContext.JSON_BODY, json.dumps({"a": 'q"\\'})),
        ('{{secrets.S|default("none")}}', TemplateContext.HEADER, "none"),
        ('{{scheduled_for|default("never")}}', TemplateContext.HEADER, "never"),
        ('{{input|default("all")}}', TemplateContext.TEXT_BODY, "all"),
        ('{{input.a|default("a|b)")}}', TemplateContext.TEXT_BODY, "a|b)"),
    ],
)
def test_a_default_replaces_a_missing_value(written: str, where: TemplateContext, text: str):
    assert rendered(written, where) == text


@pytest.mark.parametrize("given", ["given", "", 0, False, ["x"]])
def test_an_empty_value_overrides_its_default(given):
    assert rendered('{{input.a|default("x")}}', given={"a": given}) == rendered("{{input.a}}", given={"a": given})


@pytest.mark.parametrize("given", [None, {}, {"b": 1}, {"a": None}, [], "text", {"a.b": 1}])
@pytest.mark.parametrize(
    ("written", "where"),
    [
        ("https://a.test/customers/{{input.a}}", TemplateContext.URL),
        ("https://a.test/?q={{input.a}}", TemplateContext.URL),
        ("{{input.a}}", TemplateContext.HEADER),
        ("{{input.a}}", TemplateContext.TEXT_BODY),
        ("a={{input.a}}", TemplateContext.FORM_BODY),
        ('{"a": "{{input.a}}"}', TemplateContext.JSON_BODY),
    ],
)
def test_a_variable_without_a_value_fails_by_name(written: str, where: TemplateContext, given):
    with pytest.raises(RenderingError, match=r"\{\{input\.a\}\} has no value.*default") as refused:
        rendered(written, where, given=given)
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize(
    ("variable", "given"), [("input.a", {}), ("input", None), ("input.a.b", {"a": 1}), ("scheduled_for", {})]
)
def test_a_json_variable_without_a_value_fails_too(variable: str, given):
    with pytest.raises(RenderingError, match="has no value"):
        rendered(f'{{"a": {{{{{variable}}}}}}}', TemplateContext.JSON_BODY, given=given)
    assert rendered('{"a": {{input.a}}}', TemplateContext.JSON_BODY, given={"a": None}) == '{"a": null}'


@pytest.mark.parametrize(
    "written",
    [
        "{{input.a|upper}}",
        "{{input.a|default}}",
        "{{input.a|default()}}",
        "{{input.a|default(x)}}",
        "{{input.a|default('x)}}",
        '{{input.a|default("x"}}',
        "{{input.a|default('x')|default('y')}}",
        "{{input.a|default(null)}}",
        "{{input.a|default(NaN}}",
        "{{nothing|default('x')}}",
        "{{|default('x')}}",
        "{{input.a default('x')}}",
    ],
)
def test_a_malformed_default_is_refused_when_saved(written: str):
    with pytest.raises(TemplateError):
        parse(written, TemplateContext.TEXT_BODY)


@pytest.mark.parametrize(
    "digits", ["123456789012345.123456", "1.10", "12345678901234567890123", "1E5", "1e-7", "-0", "0.1", "-0.0", "7"]
)
def test_numbers_keep_their_digits(digits: str):
    given = exact_json.loads(f'{{"n": {digits}, "l": [{{"n": {digits}}}]}}')
    assert rendered('{"n": {{input.n}}}', TemplateContext.JSON_BODY, given=given) == f'{{"n": {digits}}}'
    assert rendered("{{input.l}}", TemplateContext.TEXT_BODY, given=given) == f'[{{"n":{digits}}}]'
    assert rendered("https://a.test/{{input.n}}", TemplateContext.URL, given=given) == f"https://a.test/{digits}"
    for clone in (copy.deepcopy(given), pickle.loads(pickle.dumps(given))):  # noqa: S301 - made here
        assert exact_json.compact(clone) == exact_json.compact(given)
    assert json.dumps(given, cls=exact_json.ExactEncoder).replace(" ", "") == exact_json.compact(given)
    assert exact_json.compact(json.loads(exact_json.compact(given), cls=exact_json.ExactDecoder)) == (
        exact_json.compact(given)
    )


def test_a_request_without_variables_has_no_template():
    assert RequestTemplate.of(request(headers=(("A", "b"),), body=b"{}")) is None


def test_a_request_is_rendered_whole_and_names_its_secrets():
    call = request(
        url="https://a.test/{{job}}", headers=(("Authorization", "Bearer {{secrets.T}}"),), body=b'{"at":{{unix}}}'
    )
    template = RequestTemplate.of(call)
    assert template is not None
    assert template.secrets == {"T"}
    made = template.render(call, facts(secrets={"T": "tok-1"}))
    assert made.url == "https://a.test/nightly-report"
    assert made.headers == (("Authorization", "Bearer tok-1"),)
    assert made.body == b'{"at":1772366400}'
    assert "tok-1" not in repr(made)
    assert "tok-1" not in repr(facts(secrets={"T": "tok-1"}, given="tok-1"))


def test_a_missing_secret_is_named():
    call = request(headers=(("Authorization", "{{secrets.T}}"),))
    with pytest.raises(RenderingError, match=r"header Authorization.*secret T"):
        RequestTemplate.of(call).render(call, facts())


def test_an_unreadable_stored_template_is_never_sent():
    template = RequestTemplate.of(request(body=b"{{agents.one.body}}"))
    assert isinstance(template, BrokenTemplate)
    with pytest.raises(RenderingError):
        template.render(request(), facts())
