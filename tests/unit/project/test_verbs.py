"""The verbs that change rows take an actor by keyword, and assume none."""

import ast
from collections.abc import Iterator

from tests.support.project import ROOT


def actor_parameters() -> Iterator[tuple[str, bool]]:
    """Yield each public function with a parameter `actor`, and whether it is required and keyword-only."""
    for package in ("accounts", "jobs", "runs"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                    defaults = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
                    required = [argument.arg for argument, default in defaults if default is None]
                    if "actor" in {argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)}:
                        yield f"{path.relative_to(ROOT)}: {node.name}", "actor" in required


def test_every_verb_requires_its_actor_by_keyword() -> None:
    parameters = dict(actor_parameters())
    assert len(parameters) > 30
    assert not [function for function, is_required in parameters.items() if not is_required]
