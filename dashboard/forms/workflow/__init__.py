"""The part of the job form that builds workflows: a card for each step, or the whole as YAML."""

from dashboard.forms.workflow.form import WorkflowForm

__all__ = ["WorkflowForm"]
