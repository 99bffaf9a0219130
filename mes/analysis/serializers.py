"""How yield is asked for and answered over REST."""

from typing import Any

from rest_framework import serializers

from mes.analysis.services import By, Cause, Of, Scope
from mes.stations.models import Site


class ScopeSerializer(serializers.Serializer[Any]):
    """What a question is about; what is left out does not narrow."""

    site = serializers.SlugRelatedField(
        slug_field="code", queryset=Site.objects.all(), required=False, default=None
    )
    line = serializers.CharField(required=False, allow_blank=True, default="", max_length=60)
    station = serializers.CharField(required=False, allow_blank=True, default="", max_length=60)
    part = serializers.CharField(required=False, allow_blank=True, default="", max_length=60)
    revision = serializers.CharField(required=False, allow_blank=True, default="", max_length=60)
    supplier = serializers.CharField(required=False, allow_blank=True, default="", max_length=60)
    lot = serializers.CharField(required=False, allow_blank=True, default="", max_length=60)
    order = serializers.CharField(required=False, allow_blank=True, default="", max_length=60)
    customer = serializers.CharField(required=False, allow_blank=True, default="", max_length=120)
    program = serializers.CharField(required=False, allow_blank=True, default="", max_length=60)
    procedure = serializers.CharField(required=False, allow_blank=True, default="", max_length=60)
    operation = serializers.CharField(required=False, allow_blank=True, default="", max_length=60)
    shift = serializers.CharField(required=False, allow_blank=True, default="", max_length=60)
    since = serializers.DateTimeField(required=False, default=None, help_text="Received at or after.")
    until = serializers.DateTimeField(required=False, default=None, help_text="Received before.")

    def scope(self, site: Site | None = None) -> Scope:
        """Return the checked question, narrowed to the site of the caller if it has one."""
        given = {name: self.validated_data[name] for name in Scope.__dataclass_fields__}
        return Scope(**(given | {"site": site} if site else given))


class YieldQuery(ScopeSerializer):
    """Yield of what, grouped by what."""

    by = serializers.ChoiceField(choices=[by.value for by in By], default=By.OPERATION.value)


class ParetoQuery(ScopeSerializer):
    """Pareto of what, by what."""

    of = serializers.ChoiceField(choices=[of.value for of in Of], default=Of.FAILURES.value)
    by = serializers.ChoiceField(
        choices=[choice.value for choice in (*By, *Cause)], default=Cause.MEASUREMENT.value
    )

    def group(self) -> By | Cause:
        """Return what is grouped by."""
        asked = self.validated_data["by"]
        return By(asked) if asked in set(By) else Cause(asked)


class StepSerializer(serializers.Serializer[Any]):
    """A test of a route with its first-pass numbers."""

    sequence = serializers.IntegerField()
    operation = serializers.CharField()
    procedure = serializers.CharField()
    required = serializers.BooleanField()  # type: ignore[assignment]
    inspected = serializers.IntegerField()
    first_pass = serializers.IntegerField()
    first_pass_yield = serializers.FloatField(allow_null=True)


class RolledSerializer(serializers.Serializer[Any]):
    """Rolled throughput yield of a route; null while a required test was not measured."""

    part = serializers.CharField()
    route = serializers.CharField()
    rolled_throughput_yield = serializers.FloatField(allow_null=True)
    steps = StepSerializer(many=True)


class ReworkRatioSerializer(serializers.Serializer[Any]):
    """What became of the units with a first attempt in the scope."""

    units = serializers.IntegerField()
    reworked = serializers.IntegerField()
    scrapped = serializers.IntegerField()
    retests = serializers.IntegerField()
    rework_ratio = serializers.FloatField(allow_null=True)
    scrap_ratio = serializers.FloatField(allow_null=True)
    retests_per_unit = serializers.FloatField(allow_null=True)


class YieldSerializer(serializers.Serializer[Any]):
    """First pass by group (the names of its key, then the numbers), rolled yield, and rework."""

    by = serializers.CharField()
    rows = serializers.ListField(child=serializers.DictField())
    rolled = RolledSerializer(many=True)
    rework = ReworkRatioSerializer()


class ParetoSerializer(serializers.Serializer[Any]):
    """Groups, largest first; shares add up to 1."""

    of = serializers.CharField()
    by = serializers.CharField()
    total = serializers.IntegerField()
    rows = serializers.ListField(child=serializers.DictField())


class RepeatedSerializer(serializers.Serializer[Any]):
    """A unit that was tested more than once at a step."""

    uid = serializers.UUIDField()
    serial = serializers.CharField()
    part = serializers.CharField()
    operation = serializers.CharField()
    procedure = serializers.CharField()
    runs = serializers.IntegerField()
    failures = serializers.IntegerField()
    retests = serializers.IntegerField()
    errors = serializers.IntegerField()  # type: ignore[assignment]
    last = serializers.CharField()


class RetestsSerializer(serializers.Serializer[Any]):
    """The units tested most often."""

    rows = RepeatedSerializer(many=True)
