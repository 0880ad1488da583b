"""Split a command as a POSIX shell does. What only a running shell can expand is marked, never guessed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from jobs.imports.items import ReadError

_BLANK = " \t"
#: Longest first, as a shell takes them (POSIX, section 2.10.2, and bash's).
_OPERATORS = (
    "<<<", "<<-", "&>>", "<<", ">>", "<&", ">&", "<>", ">|", "&>", "&&", "||", ";;", "|&", ";", "&", "|", "(", ")", "<",
    ">", "\n",
)  # fmt: skip
_REDIRECTING = frozenset({"<<<", "<<-", "&>>", "<<", ">>", "<&", ">&", "<>", ">|", "&>", "<", ">"})
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_EXPANDING = re.compile(r"[A-Za-z0-9_({@*#?$!-]")
_ORDINARY = re.compile(r"[^ \t\n'\"\\$`*?\[;&|()<>#]+")
_ORDINARY_IN_QUOTES = re.compile(r"[^\"\\$`]+")
_NO_SHELL = "Commands run without a shell: write values instead of $NAME, $(...) and `...`."


@dataclass(frozen=True, slots=True)
class Word:
    """A word without its quotes. `problem`: why its expansion is unknown.

    `one`: it expands to a single word. `assigns`: before a command it sets a variable.
    """

    text: str
    problem: str | None = None
    one: bool = True
    assigns: bool = False

    @property
    def value(self) -> str:
        """The text. Raises ReadError if its expansion is unknown."""
        if self.problem is not None:
            raise ReadError(self.problem)
        return self.text


class _Draft:
    """A word under construction."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._bare: list[str] = []  # quoted characters replaced by a filler
        self._problem: str | None = None
        self._one = True
        self._is_url = False

    def add(self, text: str, *, bare: bool = False) -> None:
        self._pieces.append(text)
        self._bare.append(text if bare else "q" * len(text))

    def expand(self, problem: str, *, one: bool) -> None:
        self._problem = self._problem or problem
        self._one = self._one and one

    def glob(self, character: str) -> None:
        """Add a glob character. After :// it can't match: no directory is named like the start of a URL."""
        if self._problem is None and not self._is_url:
            self._is_url = "://" in "".join(self._pieces)
        if not self._is_url:
            self.expand(f"A shell may expand {character} to file names: quote the word.", one=False)
        self.add(character, bare=True)

    @property
    def is_number(self) -> bool:
        """Whether it is unquoted digits, which belong to a redirection directly after them."""
        bare = "".join(self._bare)
        return bare.isdecimal() and bare.isascii()

    def finish(self) -> Word:
        text, bare = "".join(self._pieces), "".join(self._bare)
        if bare.startswith("~"):
            self.expand(_NO_SHELL, one=True)
        opening, closing = bare.find("{"), bare.rfind("}")
        if 0 <= opening < closing and any(mark in bare[opening:closing] for mark in (",", "..")):
            self.expand(f"A shell may expand {{...}} to several words: quote '{text[:80]}'.", one=False)
        return Word(text, self._problem, self._one, _ASSIGNMENT.match(bare) is not None)


@dataclass(slots=True)
class Command:
    """A command: its words, its redirections as (operator, target), and the operator after it."""

    words: list[Word] = field(default_factory=list)
    redirections: list[tuple[str, Word]] = field(default_factory=list)
    then: str | None = None


def commands_in(text: str) -> list[Command]:
    """Split a line into commands. Raises ReadError for unmatched quotes, and syntax beyond lists of commands."""
    if match := _CONTROL.search(text):
        raise ReadError(f"The command has the control character {match[0]!r}.")
    commands, command = [], Command()
    pieces = iter(_Lexer(text))
    for piece in pieces:
        if isinstance(piece, Word):
            command.words.append(piece)
        elif piece in _REDIRECTING:
            target = next(pieces, None)
            if not isinstance(target, Word):
                raise ReadError(
                    f"Commands run without a shell, so {piece}{target or ''} is not supported: one curl per line."
                )
            command.redirections.append((piece, target))
        elif piece in "()":
            raise ReadError(f"Commands run without a shell, so {piece} is not supported: one curl per line.")
        elif command.words or command.redirections:
            command.then = ";" if piece == "\n" else piece
            commands.append(command)
            command = Command()
        elif piece != "\n":
            raise ReadError(f"Commands run without a shell, so {piece} is not supported: one curl per line.")
    if command.words or command.redirections:
        commands.append(command)
    return commands


class _Lexer:
    """Iterate over the words and operators of a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._word: _Draft | None = None

    def __iter__(self) -> Iterator[Word | str]:
        while self._at < len(self._text):
            operator = self._operator()
            if operator is None and self._next not in _BLANK:
                self._piece()
                continue
            if self._word is not None and not (operator and operator[0] in "<>" and self._word.is_number):
                yield self._word.finish()
            self._word = None
            self._at += len(operator or self._next)
            if operator:
                yield operator
        if self._word is not None:
            yield self._word.finish()

    @property
    def _next(self) -> str:
        return self._text[self._at]

    def _operator(self) -> str | None:
        if self._next not in ";&|()<>\n":
            return None
        return next(operator for operator in _OPERATORS if self._text.startswith(operator, self._at))

    def _piece(self) -> None:
        """Add quoted text or a character to the word, or skip a comment."""
        character = self._next
        if self._word is None and character == "#":
            end = self._text.find("\n", self._at)
            self._at = len(self._text) if end < 0 else end
            return
        if self._text.startswith("\\\n", self._at):
            self._at += 2
            return
        self._word = word = self._word or _Draft()
        self._at += 1
        match character:
            case "'":
                word.add(self._until("'"))
            case '"':
                self._double_quoted(word)
            case "\\":
                if self._at == len(self._text):
                    raise ReadError("The command ends with a backslash: write it on one line.")
                word.add(self._next)
                self._at += 1
            case "$" | "`":
                self._dollar(word, character, quoted=False)
            case "*" | "?" | "[":
                word.glob(character)
            case _:
                word.add(character + self._run(_ORDINARY), bare=True)

    def _double_quoted(self, word: _Draft) -> None:
        while self._at < len(self._text):
            character = self._next
            self._at += 1
            if character == '"':
                return
            if character == "\\" and self._text[self._at : self._at + 1] in tuple('$`"\\\n'):
                if self._next != "\n":
                    word.add(self._next)
                self._at += 1
            elif character in "$`":
                self._dollar(word, character, quoted=True)
            else:
                word.add(character + self._run(_ORDINARY_IN_QUOTES))
        raise ReadError("The command's quotes don't match.")

    def _dollar(self, word: _Draft, character: str, *, quoted: bool) -> None:
        after = self._text[self._at : self._at + 1]
        if character == "`" or after == "(":
            raise ReadError(_NO_SHELL)
        if _EXPANDING.match(after):
            word.expand(_NO_SHELL, one=quoted)
        elif after and after in "'\"" and not quoted:
            raise ReadError(f"Commands run without a shell, so ${after} is not supported: use plain quotes.")
        word.add(character)

    def _run(self, ordinary: re.Pattern[str]) -> str:
        """Take the ordinary characters that follow."""
        match = ordinary.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match[0]

    def _until(self, quote: str) -> str:
        end = self._text.find(quote, self._at)
        if end < 0:
            raise ReadError("The command's quotes don't match.")
        quoted = self._text[self._at : end]
        self._at = end + 1
        return quoted
