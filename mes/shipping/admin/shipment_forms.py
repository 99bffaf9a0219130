"""What the acts on a shipment ask for."""

from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminSplitDateTime
from django.http import HttpRequest

from mes.backoffice import ReasonForm, Select, TextInput
from mes.shipping.indicators import live_indicators
from mes.shipping.models import Crate, Indicator, Shipment
from mes.shipping.services import Arrived

BILL = ("carrier", "mode", "bol_number", "pro_number", "freight_class", "nmfc", "incoterm")
HAZARDS = [("", "not declared"), ("none", "nothing hazardous"), ("coolant", "coolant")]
HAZARDS += [("batteries", "batteries"), ("coolant,batteries", "coolant and batteries")]


def typed(request: HttpRequest) -> Any:
    """Return what was typed into a form, or None before that."""
    return request.POST if request.method == "POST" else None


class BillForm(forms.Form):
    """What the bill of lading says."""

    carrier = forms.CharField(max_length=120, required=False, widget=TextInput())
    mode = forms.ChoiceField(choices=[("", "-"), *Shipment.Mode.choices], required=False, widget=Select())
    bol_number = forms.CharField(
        max_length=40, required=False, widget=TextInput(), label="Bill of lading number"
    )
    pro_number = forms.CharField(max_length=40, required=False, widget=TextInput(), label="PRO number")
    seal_numbers = forms.CharField(
        max_length=400, required=False, widget=TextInput(), help_text="Separated by commas."
    )
    freight_class = forms.CharField(max_length=10, required=False, widget=TextInput())
    nmfc = forms.CharField(max_length=20, required=False, widget=TextInput(), label="NMFC item")
    incoterm = forms.RegexField(r"^[A-Z]{3}$", required=False, widget=TextInput())
    hazards = forms.ChoiceField(choices=HAZARDS, required=False, widget=Select())
    hazard_declaration = forms.CharField(max_length=4000, required=False, widget=TextInput())
    due_at = forms.SplitDateTimeField(required=False, widget=AdminSplitDateTime())

    def __init__(self, data: Any, shipment: Shipment) -> None:
        said = {name: getattr(shipment, name) for name in (*BILL, "hazard_declaration", "due_at")}
        hazards = "" if shipment.hazards is None else ",".join(shipment.hazards) or "none"
        said |= {"seal_numbers": ", ".join(shipment.seal_numbers), "hazards": hazards}
        super().__init__(data, initial=said)

    @property
    def changes(self) -> dict[str, Any]:
        """Return the values typed, as the service takes them."""
        given = dict(self.cleaned_data)
        seals, hazards = given["seal_numbers"].split(","), given["hazards"]
        given["seal_numbers"] = [seal.strip() for seal in seals if seal.strip()]
        declared = [] if hazards == "none" else hazards.split(",")
        given["hazards"] = declared if hazards else None
        return given


class CrateForm(forms.Form):
    """A crate, by the number on its label, and its outer size."""

    number = forms.CharField(
        max_length=40, required=False, widget=TextInput({"autofocus": True}), help_text="Empty: the next."
    )
    length_mm = forms.IntegerField(min_value=1, required=False)
    width_mm = forms.IntegerField(min_value=1, required=False)
    height_mm = forms.IntegerField(min_value=1, required=False)


class ArriveForm(forms.Form):
    """How each crate came and how each of its indicators stands."""

    def __init__(self, data: Any, shipment: Shipment) -> None:
        super().__init__(data)
        self.crates = list(shipment.live_crates.all())
        self.indicators = live_indicators(self.crates)
        for crate in self.crates:
            self._ask(f"crate {crate.number}", Crate.Condition.choices)
            for each in (each for each in self.indicators if each.crate_id == crate.pk):
                self._ask(f"{each.kind} {each.serial}", Indicator.State.choices)

    def _ask(self, name: str, choices: Any) -> None:
        self.fields[name] = forms.ChoiceField(
            choices=[("", "-"), *choices], label=name.capitalize(), widget=Select()
        )

    @property
    def arrived(self) -> dict[str, Arrived]:
        """Return what was chosen, by crate."""
        return {
            crate.number: Arrived(
                condition=self.cleaned_data[f"crate {crate.number}"],
                indicators={
                    each.serial: self.cleaned_data[f"{each.kind} {each.serial}"]
                    for each in self.indicators
                    if each.crate_id == crate.pk
                },
            )
            for crate in self.crates
        }


class ReceiveForm(forms.Form):
    """The serials of what was received, as scanned."""

    serials = forms.CharField(
        max_length=20_000, widget=TextInput({"autofocus": True}), help_text="Of the units, between blanks."
    )


class AcceptForm(ReasonForm):
    """Why it is accepted, if something is not as it departed."""

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.fields["reason"].required = False
