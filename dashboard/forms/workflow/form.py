"""The steps of a workflow in the job form, as cards or as YAML, and the errors of the API's serializer beside them."""

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from django import forms

from core import exact_json
from dashboard.forms.fields import area, json_in, number
from dashboard.forms.workflow.cards import Problem, Step, StepCard, UnshowableStepError, put
from dashboard.forms.workflow.rows import json_text
from dashboard.forms.workflow.text import workflow_in, workflow_text
from dashboard.forms.workflow.types import CARDS, HttpCard
from jobs.definition.calls import STEP_LISTS
from jobs.definition.workflow.contract import MAX_FINALLY, MAX_STEPS
from jobs.validation.workflow import DEFAULT_TIMEOUT_SECONDS

PREFIX = "workflow"
STEPS, YAML = "steps", "yaml"
#: A few more cards than are valid, so that too many are reported instead of dropped.
_MOST_CARDS = 2 * MAX_STEPS
#: More cards are folded at first.
_MOST_OPEN = 3
_LEADS_TO_CARD = re.compile(r"(?P<list>steps|finally)\.(?P<index>[0-9]+)(?:\.(?P<rest>.*))?", re.DOTALL)
Policies = list[tuple[str, str]]


class WorkflowForm(forms.Form):
    """A workflow as cards or YAML. `definition()` is its object in the API, `show_error()` takes an error of it."""

    PATHS: ClassVar[dict[str, str]] = {"timeout_seconds": "timeout_seconds", "output": "output"}

    mode = forms.ChoiceField(
        choices=[(STEPS, "Steps"), (YAML, "YAML")], required=False, initial=STEPS, widget=forms.RadioSelect()
    )
    text = area(
        rows=24,
        strip=False,
        label="Workflow as YAML",
        placeholder="steps:\n- id: order\n  type: http\n  request:\n    url: https://api.example.com/orders",
    )
    timeout_seconds = number(label="Seconds for the whole workflow", help_text="Waits included. 30 days have 2592000.")
    output = area(
        rows=3,
        label="Output (JSON)",
        help_text="The result of the execution; its texts can have variables. Empty: the answer of the last step.",
        takes_variables=True,
    )
    whole = forms.CharField(widget=forms.HiddenInput, required=False, strip=False)

    def __init__(self, data: Any, *, before: Mapping[str, Any] | None, policies: Policies) -> None:
        """`before` is the workflow as it is stored, None for a new one."""
        self.policies = policies
        self._yaml: Any = None
        self.yaml_error: forms.ValidationError | None = None
        self.yaml_errors: list[str] = []
        before = before or {}
        self.mode_chosen = YAML if data is not None and data.get(f"{PREFIX}-mode") == YAML else STEPS
        if data is not None and self.mode_chosen == STEPS:
            before = {**json_object(data.get(f"{PREFIX}-whole")), **_cards_posted(data)}
        elif data is not None:
            before = self._read_yaml(data.get(f"{PREFIX}-text", ""))
        self.before = before
        initial = {
            "mode": STEPS,
            "timeout_seconds": before.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS),
            "output": "" if before.get("output") is None else json_text(before["output"]),
            "whole": exact_json.compact({name: value for name, value in before.items() if name not in STEP_LISTS}),
        }
        super().__init__(data, prefix=PREFIX, initial=initial)
        cards_data = data if self.mode_chosen == STEPS else None
        self.unshowable = ""
        self.cards: dict[str, list[StepCard]] = {name: [] for name in STEP_LISTS}
        try:
            self.cards = {name: self._cards_of(name, before.get(name), cards_data) for name in STEP_LISTS}
        except UnshowableStepError as error:
            self.unshowable = str(error)
        for card in self._all_cards:
            card.opened = len(self._all_cards) <= _MOST_OPEN

    def _read_yaml(self, text: str) -> dict[str, Any]:
        """Keep what the text says, whatever it is, for the serializer; return it where it is an object."""
        try:
            self._yaml = workflow_in(text)
        except forms.ValidationError as error:
            self.yaml_error = error
            return {}
        return dict(self._yaml) if isinstance(self._yaml, Mapping) else {}

    def _cards_of(self, name: str, steps: Any, data: Any) -> list[StepCard]:
        if isinstance(steps, dict):  # posted: by the number of the card
            return [self._card(data, f"{name}-{number}", whole) for number, whole in steps.items()]
        if not isinstance(steps or [], list):
            raise UnshowableStepError(f"{name} should be a list.")
        return [self._card(data, f"{name}-{number}", whole) for number, whole in enumerate(steps or [])]

    def _card(self, data: Any, prefix: str, whole: Any) -> StepCard:
        kind = whole.get("type") if isinstance(whole, Mapping) else None
        if not isinstance(kind, str) or kind not in CARDS:
            raise UnshowableStepError(f"A step has no type out of {', '.join(CARDS)}.")
        try:
            return self.card_of(kind, data, prefix=prefix, whole=dict(whole))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # The step isn't validated yet: any of its parts may have any shape.
            raise UnshowableStepError(f"The step {whole.get('id')} has a part of the wrong shape.") from error

    def card_of(self, kind: str, data: Any, *, prefix: str, whole: Step) -> StepCard:
        if kind == HttpCard.TYPE:
            return HttpCard(data, prefix=prefix, whole=whole, policies=self.policies)
        return CARDS[kind](data, prefix=prefix, whole=whole)

    # -- the API's workflow object -------------------------------------------------------------------------------------

    def is_valid(self) -> bool:
        is_valid = super().is_valid()
        if self.mode_chosen == YAML:
            return is_valid
        cards = [card.is_valid() for card in self._all_cards]  # all of them: each collects its errors
        return is_valid and all(cards) and not self.unshowable

    def clean_text(self) -> str:
        if self.mode_chosen == YAML and self.yaml_error is not None:
            raise self.yaml_error
        return str(self.cleaned_data["text"])

    def clean_output(self) -> Any:
        text = self.cleaned_data["output"]
        return json_in(text) if text.strip() else None

    def definition(self) -> Any:
        """Return the workflow object; in YAML whatever the text says."""
        if self.is_bound and self.mode_chosen == YAML:
            return self._yaml if isinstance(self._yaml, Mapping) else {}
        workflow = {name: value for name, value in copy.deepcopy(dict(self.before)).items() if name not in STEP_LISTS}
        for name in self.PATHS:
            if self.is_bound and name in self.changed_data and name not in self.errors:
                put(workflow, name, self.cleaned_data[name], keep_null=name == "output")
        steps = {name: [card.definition() for card in self.cards[name]] for name in STEP_LISTS}
        return {"steps": steps["steps"], **{name: value for name, value in workflow.items() if name != "output"},
                "finally": steps["finally"], "output": workflow.get("output")}  # fmt: skip

    def as_yaml(self) -> str:
        """Return the text as it was sent, else the workflow as YAML; empty for a new one."""
        if self.is_bound and self.mode_chosen == YAML:
            return str(self.data.get(f"{PREFIX}-text", ""))
        definition = self.definition()
        return workflow_text(definition) if definition["steps"] or self.is_bound else ""

    # -- errors --------------------------------------------------------------------------------------------------------

    def show_error(self, path: str, detail: str) -> None:
        """Put an error of the API's serializer, at a dotted path within the workflow, where it belongs."""
        if self.mode_chosen == YAML:
            if self.yaml_error is None:
                self.yaml_errors.append(f"{path}: {detail}" if path else detail)
            return
        match = _LEADS_TO_CARD.fullmatch(path)
        if match and int(match["index"]) < len(self.cards[match["list"]]):
            self.cards[match["list"]][int(match["index"])].show_error(match["rest"] or "", detail)
        elif (field := path.partition(".")[0]) in self.PATHS and field not in self.errors:
            rest = path.partition(".")[2]
            self.add_error(field, f"{rest}: {detail}" if rest else detail)
        elif field not in self.PATHS:
            self.add_error(None, f"{path}: {detail}" if path else detail)

    @property
    def problems(self) -> Iterator[Problem]:
        """All errors in the order of the page."""
        if not self.is_bound:
            return
        if self.unshowable and self.mode_chosen == STEPS:
            yield Problem("workflow-cards", "Steps", self.unshowable)
        for detail in self.non_field_errors():
            yield Problem("workflow-cards", "Workflow", str(detail))
        for card in self._all_cards:
            if card.is_bound:
                yield from card.problems
        for name in ("timeout_seconds", "output", "text"):
            for detail in self[name].errors:
                yield Problem(self[name].id_for_label, str(self[name].label), str(detail))
        for detail in self.yaml_errors:
            yield Problem(self["text"].id_for_label, "YAML", detail)

    @property
    def _all_cards(self) -> list[StepCard]:
        return [card for name in STEP_LISTS for card in self.cards[name]]

    # -- the page ------------------------------------------------------------------------------------------------------

    @property
    def lists(self) -> list[dict[str, Any]]:
        """The two lists of cards with their words and limits."""
        return [
            {"name": name, "title": title, "cards": self.cards[name], "most": most, "types": types}
            for name, title, most, types in (
                ("steps", "Steps", MAX_STEPS, list(CARDS.values())),
                ("finally", "Finally", MAX_FINALLY, [HttpCard]),
            )
        ]

    @property
    def shown_text(self) -> str:
        """The field of the YAML, with the cards as YAML where these were sent."""
        field = self["text"]
        return self.fields["text"].widget.render(field.html_name, self.as_yaml(), {"id": field.auto_id})

    @property
    def new_cards(self) -> Iterator[StepCard]:
        """A new card of each type, for the page's templates."""
        for kind, card in CARDS.items():
            yield self.card_of(kind, None, prefix="__step__", whole=dict(card.NEW))

    @property
    def new_rows(self) -> Iterator[dict[str, Any]]:
        """A new row of each kind, for the page's templates."""
        for card in CARDS.values():
            for name, rows in card.ROWS.items():
                yield {
                    "name": f"{card.TYPE}-{name}",
                    "row": rows.kind.rows(prefix="__rows__").empty_form,
                    "about": rows,
                }


def json_object(text: Any) -> dict[str, Any]:
    """Read the object of a hidden field; empty if it holds no JSON object."""
    try:
        value = json_in(text or "{}")
    except forms.ValidationError:
        return {}
    return value if isinstance(value, dict) else {}


def _cards_posted(data: Any) -> dict[str, Any]:
    """Return for each list the steps as they were, by the number of the card, in the order of the page."""
    posted: dict[str, dict[str, Any]] = {name: {} for name in STEP_LISTS}
    for key in data:
        match = re.fullmatch(r"(steps|finally)-([0-9]{1,6})-whole", key)
        if match and f"{match[1]}-{match[2]}-remove" not in data and len(posted[match[1]]) < _MOST_CARDS:
            posted[match[1]][match[2]] = json_object(data.get(key))
    return posted
