"""The machine owner's rules: what runs as what, exact refusals, and a file that is read strictly."""

import json
import os
import pwd
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hourhand.agent.contract import CommandDefinition, PreparedCommand
from hourhand.agent.rules import RefusedError, Rules
from hourhand.agent.rules_file import RulesError, argv_pattern, home_of, read_rules, rules_of

ME = pwd.getpwuid(os.geteuid()).pw_name
ENVIRON = {"PATH": "/bin", "LANG": "C.UTF-8", "AGENT_KEY": "never", "HOME": "/agents/home"}
FILE = """
allow_argv = ["pg_dump -Fc *", "systemctl restart ..."]
inherit_env = ["PATH", "HOME"]
env = ["PG*", "TOKEN"]
working_dirs = ["/srv"]

[commands.backup]
description = "Back up one database"
argv = ["/usr/local/bin/backup", "--to={target}", "{database}", "{{literal}}"]
env = ["TOKEN"]
parameters.target = { choices = ["s3", "-local"], default = "s3" }
parameters.database = { pattern = "[a-z-]+" }

[http]
allow = ["10.0.0.0/8"]
"""


def rules_from(text: str) -> Rules:
    return rules_of(tomllib.loads(textwrap.dedent(text)))


RULES = rules_from(FILE)


def prepared(rules: Rules = RULES, **definition: Any) -> PreparedCommand:
    return rules.prepare(CommandDefinition(**definition), environ=ENVIRON, home=home_of)


def shell_line(rules: Rules, line: str, **definition: Any) -> PreparedCommand:
    return prepared(rules, **{"shell": line, **definition})


def test_a_named_command_is_filled_with_its_arguments():
    command = prepared(run="backup", args={"database": "shop", "target": "-local"}, timeout_seconds=7, stdin=b"in")
    assert command.argv == ("/usr/local/bin/backup", "--to=-local", "shop", "{literal}")
    assert prepared(run="backup", args={"database": "shop"}).argv[1] == "--to=s3"
    assert (command.timeout_seconds, command.stdin, command.umask) == (7, b"in", 0o022)


def test_an_argument_stays_one_item_whatever_it_holds():
    rules = rules_from("""
        [commands.say]
        argv = ["echo", "x{word}"]
        parameters.word = { pattern = "(?s).*" }
        """)
    word = "a b; $(rm -rf /) '\"\n{word} {0}"
    assert prepared(rules, run="say", args={"word": word}).argv == ("echo", f"x{word}")


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ({"run": "restore"}, "has no command restore. Its commands: backup"),
        ({"run": "backup"}, "needs args.database"),
        ({"run": "backup", "args": {"database": "shop", "more": 1}}, "no parameter more: it has target, database"),
        ({"run": "backup", "args": {"database": "shop\n"}}, "args.database must match [a-z-]+ as a whole"),
        ({"run": "backup", "args": {"database": "x" * 1001}}, "longer than 1000"),
        ({"run": "backup", "args": {"database": "--all"}}, "args.database must not begin with -"),
        ({"run": "backup", "args": {"database": True}}, "args.database must be a text or a whole number"),
        ({"run": "backup", "args": {"database": ["shop"]}}, "args.database must be a text or a whole number"),
        ({"run": "backup", "args": {"database": "shop", "target": "ftp"}}, "args.target must be one of s3, -local"),
        (
            {"run": "backup", "args": {"database": "shop"}, "env": {"PGHOST": "h"}},
            "the variable PGHOST here. It allows",
        ),
        ({"run": "backup", "args": {"database": "shop"}, "working_dir": "/srv"}, "Its directories: only /"),
        ({"argv": ("rm", "-rf", "/")}, "does not run this argv of rm. It allows: pg_dump -Fc *, systemctl"),
        ({"argv": ("pg_dump", "-Fc", "shop", "-f/etc/passwd")}, "does not run this argv of pg_dump"),
        ({"argv": ("pg_dump", "-Fc", "-f/etc/passwd")}, "does not run this argv of pg_dump"),
        ({"argv": ("pg_dump", "-Fc")}, "does not run this argv"),
        ({"argv": ("pg_dump", "-Fc", "a\0b")}, "NUL"),
        ({"argv": ()}, "argv is empty"),
        ({"argv": ("pg_dump", "-Fc", "shop"), "args": {"a": 1}}, "Only a command with run has args"),
        ({"argv": ("pg_dump", "-Fc", "shop"), "env": {"LD_PRELOAD": "x"}}, "the variable LD_PRELOAD"),
        ({"argv": ("pg_dump", "-Fc", "shop"), "env": {"PATH": "/tmp"}}, "the variable PATH"),
        ({"argv": ("pg_dump", "-Fc", "shop"), "env": {"PG=A": "x"}}, "'PG=A' is not a valid variable"),
        ({"argv": ("pg_dump", "-Fc", "shop"), "env": {"TOKEN": "a\0b"}}, "not a valid variable"),
        ({"argv": ("pg_dump", "-Fc", "shop"), "working_dir": "/etc"}, "does not run it in /etc"),
        ({"argv": ("pg_dump", "-Fc", "shop"), "working_dir": "/srv/../etc"}, "does not run it in /srv/../etc"),
        ({"argv": ("pg_dump", "-Fc", "shop"), "working_dir": "srv"}, "does not run it in srv"),
        ({"argv": ("pg_dump", "-Fc", "shop"), "working_dir": "/srvx"}, "does not run it in /srvx"),
        ({"argv": ("pg_dump", "-Fc", "shop"), "timeout_seconds": 0}, "timeout_seconds"),
        ({"argv": ("pg_dump", "-Fc", "shop"), "timeout_seconds": float("nan")}, "timeout_seconds"),
        ({"shell": "ls"}, "runs no shell lines"),
        ({}, "exactly one of run, argv and shell"),
        ({"run": "backup", "shell": "ls"}, "exactly one of run, argv and shell"),
    ],
)
def test_whatever_is_not_allowed_is_refused_in_words(definition: dict[str, Any], said: str):
    with pytest.raises(RefusedError) as refused:
        prepared(**definition)
    assert said in str(refused.value)


def test_nothing_runs_without_rules():
    for definition in ({"run": "backup"}, {"argv": ("ls",)}, {"shell": "ls"}):
        with pytest.raises(RefusedError):
            prepared(Rules(), **definition)


@pytest.mark.parametrize(
    "argv", [("pg_dump", "-Fc", "a b"), ("systemctl", "restart"), ("systemctl", "restart", "-a", "b")]
)
def test_an_argv_that_a_pattern_matches_runs_as_it_is(argv: tuple[str, ...]):
    assert prepared(argv=argv).argv == argv


def test_the_command_line_widens_the_rules():
    rules = Rules().widened(allow_argv=(argv_pattern("ls '-l' /srv/*", "--allow-argv"),), allow_shell=True)
    assert prepared(rules, argv=("ls", "-l", "/srv/a")).argv == ("ls", "-l", "/srv/a")
    assert shell_line(rules, "ls | wc").argv == ("/bin/sh", "-c", "ls | wc")


def test_the_environment_is_the_allowed_part_of_the_agents_and_the_jobs():
    command = prepared(argv=("pg_dump", "-Fc", "shop"), env={"PGHOST": "db", "TOKEN": "t"})
    assert command.env == {"PATH": "/bin", "HOME": "/agents/home", "PGHOST": "db", "TOKEN": "t"}
    assert shell_line(Rules(allow_shell=True), "ls").env == {"PATH": "/bin", "LANG": "C.UTF-8"}


def test_a_command_of_a_user_gets_that_users_home():
    rules = rules_from(f"""
        inherit_env = ["PATH", "HOME", "USER"]
        allow_shell = true
        user = "{ME}"
        """)
    command = shell_line(rules, "ls")
    assert command.user == ME
    assert command.env == {"PATH": "/bin", "HOME": pwd.getpwnam(ME).pw_dir, "USER": ME}


def test_working_directories_are_followed_through_links(tmp_path: Path):
    (tmp_path / "allowed/inside").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "allowed/link").symlink_to(tmp_path / "other")
    rules = rules_from(f'allow_shell = true\nworking_dirs = ["{tmp_path}/allowed", "{tmp_path}"]')
    assert shell_line(rules, "ls").working_dir == f"{tmp_path}/allowed"
    narrow = rules_from(f'allow_shell = true\nworking_dirs = ["{tmp_path}/allowed"]')
    assert shell_line(narrow, "ls", working_dir=f"{tmp_path}/allowed/inside").working_dir.endswith("/inside")
    with pytest.raises(RefusedError, match="does not run it in"):
        shell_line(narrow, "ls", working_dir=f"{tmp_path}/allowed/link")


def test_the_summary_for_the_dashboard_is_json_and_shows_no_argv_of_named_commands():
    summary = RULES.allows()
    assert json.loads(json.dumps(summary)) == summary
    assert summary["commands"] == [
        {
            "name": "backup",
            "description": "Back up one database",
            "parameters": [
                {"name": "target", "choices": ["s3", "-local"], "pattern": None, "default": "s3"},
                {"name": "database", "choices": None, "pattern": "[a-z-]+", "default": None},
            ],
            "user": None,
            "working_dirs": [],
            "env": ["TOKEN"],
        }
    ]
    assert (summary["allow_argv"], summary["allow_shell"]) == (["pg_dump -Fc *", "systemctl restart ..."], False)
    assert summary["http"] == ["10.0.0.0/8"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("allow_shel = true", "allow_shel is not a key; the file may have allow_argv, allow_shell"),
        ('allow_shell = "yes"', "allow_shell must be true or false"),
        ('allow_argv = "ls"', "allow_argv must be a list of texts"),
        ('allow_argv = ["ls", 1]', "allow_argv must be a list of texts"),
        ('allow_argv = ["ls \'"]', "can't be split"),
        ('allow_argv = ["..."]', "must name a program"),
        ("umask = 22", 'umask must be a text of octal digits such as "027"'),
        ('umask = "999"', "umask must be"),
        ('inherit_env = ["A B"]', "inherit_env: 'A B' is not the name of a variable"),
        ('env = ["*"]', "env: '*' is not the name of a variable"),
        ('working_dirs = ["srv"]', "working_dirs: 'srv' must be an absolute path"),
        ('user = "no-such-user"', "user: this machine has no user no-such-user"),
        ("commands = 1", "commands must be a table"),
        ("commands.a = 1", "commands.a must be a table"),
        ("commands.a = {}", "commands.a.argv must name a program"),
        ('commands."a b" = { argv = ["a"] }', "commands.a b: a name has letters"),
        ('commands.a = { argv = "ls" }', "commands.a.argv must be a list of texts"),
        ('commands.a = { argv = ["a"], shell = true }', "commands.a.shell is not a key; commands.a may have argv"),
        ('commands.a = { argv = ["a", "{b}"] }', "{b} is not a parameter; add commands.a.parameters.b"),
        ('commands.a = { argv = ["a", "{}"] }', "write a parameter as {name}"),
        ('commands.a = { argv = ["a", "{b.c}"] }', "write a parameter as {name}"),
        ('commands.a = { argv = ["a", "{b!r}"] }', "write a parameter as {name}"),
        ('commands.a = { argv = ["a", "{b"] }', "write {{ and }} for braces"),
        ('commands.a = { argv = ["{b}"], parameters.b = { pattern = "x" } }', "can't choose the program"),
        ('commands.a = { argv = ["a"], parameters.b = { pattern = "x" } }', "parameters.b is not used"),
        ('commands.a = { argv = ["a", "{b}"], parameters.b = {} }', "needs either choices"),
        ('commands.a = { argv = ["a", "{b}"], parameters.b = { choices = [] } }', "choices is empty"),
        (
            'commands.a = { argv = ["a", "{b}"], parameters.b = { choices = ["x"], pattern = "x" } }',
            "commands.a.parameters.b needs either choices",
        ),
        ('commands.a = { argv = ["a", "{b}"], parameters.b = { pattern = "(" } }', "is not a regular expression"),
        (
            'commands.a = { argv = ["a", "{b}"], parameters.b = { pattern = "x", default = "y" } }',
            "commands.a.parameters.b.default is not allowed by itself: args.b must match x",
        ),
        ("http.allow = [1]", "http.allow must be a list of texts"),
        ('http.allow = ["10.1.0.0/8"]', "http.allow: '10.1.0.0/8' has bits set beyond its prefix"),
        ('http.deny = ["a"]', "http.deny is not a key; http may have allow"),
    ],
)
def test_a_file_that_can_not_mean_anything_is_refused_by_the_key(text: str, said: str):
    with pytest.raises(RulesError) as refused:
        rules_from(text)
    assert said in str(refused.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_only_root_runs_commands_as_others(monkeypatch: pytest.MonkeyPatch):
    assert rules_from('user = "nobody"').surroundings.user == "nobody"
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.raises(RulesError, match="only an agent that runs as root can run commands as nobody"):
        rules_from('user = "nobody"')


def test_a_file_is_read(tmp_path: Path):
    path = tmp_path / "agent.toml"
    assert read_rules(path) == Rules()
    path.write_text(FILE)
    path.chmod(0o644)
    assert read_rules(path).allows() == RULES.allows()
    path.write_text("a = [")
    with pytest.raises(RulesError, match=r"agent\.toml: "):
        read_rules(path)
    path.write_bytes(b"\xff")
    with pytest.raises(RulesError, match=r"agent\.toml: "):
        read_rules(path)


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_file_that_others_may_write_is_refused(tmp_path: Path, mode: int):
    path = tmp_path / "agent.toml"
    path.write_text(FILE)
    path.chmod(mode)
    with pytest.raises(RulesError, match=f"can be written by others: run `chmod go-w {path}`"):
        read_rules(path)


def test_a_directory_that_others_may_write_is_refused(tmp_path: Path):
    path = tmp_path / "agent.toml"
    path.write_text(FILE)
    path.chmod(0o644)
    tmp_path.chmod(0o777)
    with pytest.raises(RulesError, match="can be written by others"):
        read_rules(path)
    tmp_path.chmod(0o1777)  # as /tmp: others can't replace the file
    read_rules(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_refused(tmp_path: Path):
    path = tmp_path / "agent.toml"
    path.write_text(FILE)
    path.chmod(0o600)
    os.chown(path, pwd.getpwnam("nobody").pw_uid, -1)
    with pytest.raises(RulesError, match="belongs to another user"):
        read_rules(path)
