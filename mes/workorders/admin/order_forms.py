"""What the acts on an order ask for."""

from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminSplitDateTime
from django.http import HttpRequest

from mes.backoffice import ReasonForm, SignatureForm, TextInput
from mes.workorders.cancelling import Choice
from mes.workorders.models import WorkOrder


def typed(request: HttpRequest) -> Any:
    """Return what was typed into a form, or None before that."""
    return request.POST if request.method == "POST" else None


class ChangeForm(ReasonForm):
    """What of an order changes, and why."""

    NAMES = ("priority", "due_at", "customer", "contract", "program")

    priority = forms.IntegerField(min_value=1, max_value=99, help_text="1 is built first, 99 last.")
    due_at = forms.SplitDateTimeField(required=False, widget=AdminSplitDateTime())
    customer = forms.CharField(max_length=120, required=False, widget=TextInput())
    contract = forms.CharField(max_length=60, required=False, widget=TextInput())
    program = forms.CharField(max_length=60, required=False, widget=TextInput())

    def __init__(self, data: Any, order: WorkOrder) -> None:
        super().__init__(data, initial={name: getattr(order, name) for name in self.NAMES})

    @property
    def changes(self) -> dict[str, Any]:
        """Return the values typed."""
        return {name: self.cleaned_data[name] for name in self.NAMES}


class SplitForm(ReasonForm):
    """How many units go to which new order, and why."""

    number = forms.CharField(max_length=40, label="Number of the new order", widget=TextInput())
    quantity = forms.IntegerField(min_value=1, label="How many units go there")


class ChildrenForm(forms.Form):
    """How deep child orders are drafted."""

    recursive = forms.BooleanField(required=False, label="Down through every level")


class CloseForm(forms.Form):
    """Why finished units stay."""

    reason = forms.CharField(
        max_length=300,
        required=False,
        widget=TextInput(),
        help_text="Needed when finished units have neither shipped nor been installed.",
    )


class ShipForm(forms.Form):
    """Where a unit ships to."""

    to = forms.CharField(max_length=120, label="Ships to", widget=TextInput({"autofocus": True}))


class CancelForm(ReasonForm):
    """Why an order is cancelled, and what becomes of each unit in progress."""

    def __init__(self, data: Any, choices: list[Choice]) -> None:
        super().__init__(data)
        self.uids = [str(choice.unit.uid) for choice in choices]
        for choice in choices:
            names = [(fate, fate.replace("_", " ").replace("move:", "move to ")) for fate in choice.allowed]
            self.fields[str(choice.unit.uid)] = forms.ChoiceField(
                label=f"What becomes of {choice.unit.serial}",
                choices=[("", "choose"), *names],
                help_text="; ".join(f"no {fate}: {why}" for fate, why in choice.refused.items()),
            )

    @property
    def fates(self) -> dict[str, str]:
        """Return what was chosen, by uid."""
        return {uid: self.cleaned_data[uid] for uid in self.uids}


class ReleaseGateForm(SignatureForm):
    """Which gate is released, why, for how many passes and how long; signed."""

    field_order = ("gate", "reason", "allowed", "hours", "password")
    gate = forms.ChoiceField(label="Gate")
    allowed = forms.IntegerField(min_value=1, initial=1, label="How many passes")
    hours = forms.FloatField(min_value=0, initial=8, label="For how many hours")

    def __init__(self, data: Any, held: dict[str, str]) -> None:
        super().__init__(data)
        gate = self.fields["gate"]
        if isinstance(gate, forms.ChoiceField):
            gate.choices = [("", "choose"), *held.items()]

    @property
    def chosen(self) -> tuple[int, str]:
        """Return the sequence of the operation and the gate's name."""
        sequence, _, gate = self.cleaned_data["gate"].partition(":")
        return int(sequence), gate
