"""How the budgets of a unit look over REST."""

from typing import Any

from rest_framework import serializers

from mes.racks.budgets import BudgetState


class BudgetLineSerializer(serializers.Serializer[Any]):
    """A budget: what is demanded and what it may come to, as it stands and when complete."""

    name = serializers.CharField(source="budget.name")
    figure = serializers.CharField(source="budget.figure")
    unit = serializers.CharField()
    installed = serializers.FloatField(source="now.demand")
    installed_limit = serializers.FloatField(source="now.limit")
    installed_margin = serializers.FloatField(source="now.margin")
    expected = serializers.FloatField(source="complete.demand")
    limit = serializers.FloatField(source="complete.limit")
    margin = serializers.FloatField(source="complete.margin")
    redundancy = serializers.IntegerField(source="budget.redundancy")
    state = serializers.ChoiceField(choices=BudgetState.choices)
    unstated = serializers.ListField(child=serializers.CharField())
    assumption = serializers.CharField(source="budget.assumption")


class TotalSerializer(serializers.Serializer[Any]):
    """The sum of a figure; null: nothing states it."""

    figure = serializers.CharField()
    unit = serializers.CharField()
    installed = serializers.FloatField(allow_null=True)
    expected = serializers.FloatField(allow_null=True)


class CentreSerializer(serializers.Serializer[Any]):
    """A centre of gravity: its height above the floor in mm, and the weight in kg that has no position."""

    height_mm = serializers.FloatField(allow_null=True)
    left_out_kg = serializers.FloatField()


class BudgetsSerializer(serializers.Serializer[Any]):
    """The budgets of a unit, the sums over what is in it, and its centre of gravity."""

    budgets = BudgetLineSerializer(source="lines", many=True)
    totals = TotalSerializer(many=True)
    centre_of_gravity = CentreSerializer(source="centre")
    centre_of_gravity_complete = CentreSerializer(source="complete_centre")
