"""How burn-in runs, their readings and BMC addresses look over REST."""

from typing import Any

from rest_framework import serializers

from mes.burnin.limits import kind_of, unit_of
from mes.burnin.meter_models import GridFactor, MeterEndpoint
from mes.burnin.models import (
    BmcEndpoint,
    BurnInAttempt,
    BurnInBay,
    BurnInProfile,
    BurnInRun,
    Gap,
    SeriesLimit,
    Violation,
)
from mes.burnin.services import require_bmc_url


class GapSerializer(serializers.ModelSerializer[Gap]):
    """An interval that earned nothing."""

    class Meta:
        model = Gap
        fields = ("from_at", "to_at", "reason")


class SeriesLimitSerializer(serializers.ModelSerializer[SeriesLimit]):
    """What the series of a group must keep to."""

    class Meta:
        model = SeriesLimit
        fields = (
            *("group", "unit_kind", "pattern", "unit", "low", "high", "violations", "window", "action"),
            *("kind", "basis", "missing", "missing_polls", "sample_seconds", "assumption"),
        )


class BurnInProfileSerializer(serializers.ModelSerializer[BurnInProfile]):
    """How racks are burned in, with its limits."""

    part = serializers.CharField(source="part.number", read_only=True)
    limits = SeriesLimitSerializer(many=True, read_only=True)

    class Meta:
        model = BurnInProfile
        fields = (
            *("name", "version", "part", "procedure", "stressor", "unit_kinds", "required_hours"),
            *("poll_seconds", "max_gap_seconds", "poll_timeout_seconds", "missed_polls", "suspect_policy"),
            *("suspect_seconds", "start_seconds", "time_scale", "power_kw", "coolant_lpm"),
            *("assumption", "released_at", "limits"),
        )


class FindingSerializer(serializers.Serializer[Any]):
    """Why a tray or a run failed: the rule, and what it was decided by."""

    rule = serializers.CharField()
    text = serializers.CharField()
    at = serializers.DateTimeField(allow_null=True)
    slot = serializers.CharField(help_text="Empty: the run as a whole.")
    serial = serializers.CharField()
    attempt = serializers.IntegerField(allow_null=True)
    group = serializers.CharField()
    series = serializers.CharField()
    value = serializers.FloatField(allow_null=True)
    unit = serializers.CharField()
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    outside = serializers.IntegerField(allow_null=True, help_text="Of the last samples of the window.")
    violations = serializers.IntegerField(allow_null=True, help_text="So many outside are too many.")
    window = serializers.IntegerField(allow_null=True)
    profile = serializers.CharField()


class NearMissSerializer(serializers.Serializer[Any]):
    """A series that came close to a limit and did not fail."""

    why = serializers.ChoiceField(choices=["not_persistent", "margin", "closest"])
    rule = serializers.CharField()
    slot = serializers.CharField()
    serial = serializers.CharField()
    attempt = serializers.IntegerField()
    group = serializers.CharField()
    series = serializers.CharField()
    at = serializers.DateTimeField(allow_null=True)
    value = serializers.FloatField()
    unit = serializers.CharField()
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    margin = serializers.FloatField(help_text="To the nearest bound; negative outside.")
    share = serializers.FloatField(help_text="The margin as a share of the good range.")
    outside = serializers.IntegerField(help_text="Samples outside, over the whole soak.")
    violations = serializers.IntegerField()
    window = serializers.IntegerField()


class ViolationSerializer(serializers.ModelSerializer[Violation]):
    """An excursion of a series outside a limit."""

    run = serializers.UUIDField(source="attempt.run.uid", read_only=True)
    slot = serializers.CharField(source="attempt.slot.name", read_only=True)
    number = serializers.IntegerField(source="attempt.number", read_only=True)
    group = serializers.CharField(source="limit.group", read_only=True)
    low = serializers.FloatField(source="limit.low", read_only=True, allow_null=True)
    high = serializers.FloatField(source="limit.high", read_only=True, allow_null=True)
    unit = serializers.SerializerMethodField()
    rule = serializers.SerializerMethodField()

    class Meta:
        model = Violation
        fields = (
            *("run", "slot", "number", "rule", "group", "series", "from_at", "to_at", "samples"),
            *("worst", "worst_at", "unit", "low", "high", "most", "is_open"),
        )

    def get_unit(self, violation: Violation) -> str:
        """Return the unit of the worst value and of the bounds."""
        return unit_of(violation.limit)

    def get_rule(self, violation: Violation) -> str:
        """Return what the limit judges."""
        return str(kind_of(violation.limit))


class AttemptSerializer(serializers.ModelSerializer[BurnInAttempt]):
    """The soak of one tray."""

    slot = serializers.CharField(source="slot.name", read_only=True)
    unit = serializers.UUIDField(source="unit.uid", read_only=True)
    serial = serializers.CharField(source="unit.serial", read_only=True)
    gaps = GapSerializer(many=True, read_only=True)
    findings = FindingSerializer(many=True, read_only=True)

    class Meta:
        model = BurnInAttempt
        fields = (
            *("slot", "number", "unit", "serial", "state", "opened_at", "soak_clock"),
            *("credited_seconds", "carried_seconds", "last_good_at"),
            *("last_poll_at", "missed", "suspect_since", "reasons", "findings", "gaps"),
        )


class BurnInRunSerializer(serializers.ModelSerializer[BurnInRun]):
    """A burn-in as it stands."""

    unit = serializers.UUIDField(source="unit.uid", read_only=True)
    serial = serializers.CharField(source="unit.serial", read_only=True)
    bay = serializers.CharField(source="bay.code", read_only=True, default=None)
    retest_of = serializers.UUIDField(source="retest_of.uid", read_only=True, default=None)
    profile = serializers.CharField(source="profile.name", read_only=True)
    profile_version = serializers.CharField(source="profile.version", read_only=True)
    required_seconds = serializers.FloatField(source="profile.required_seconds", read_only=True)

    class Meta:
        model = BurnInRun
        fields: tuple[str, ...] = (
            *(
                "uid",
                "unit",
                "serial",
                "profile",
                "profile_version",
                "state",
                "state_since",
                "waits_for",
                "bay",
            ),
            *("credited_seconds", "required_seconds", "phase", "step"),
            *("started_by", "created_at", "soak_started_at"),
            *("ended_at", "abort_reason", "reasons", "retest_of"),
        )


class BurnInRunDetailSerializer(BurnInRunSerializer):
    """A burn-in with its trays, what decided its verdict, and what came close."""

    findings = FindingSerializer(many=True, read_only=True)
    near_misses = NearMissSerializer(many=True, read_only=True)
    attempts = AttemptSerializer(many=True, read_only=True)

    class Meta(BurnInRunSerializer.Meta):
        fields = (*BurnInRunSerializer.Meta.fields, "findings", "near_misses", "attempts")


class BaySerializer(serializers.Serializer[Any]):
    """A bay: what it can give, what is left of it, and the racks in it."""

    code = serializers.CharField(source="bay.code")
    site = serializers.CharField(source="bay.site.code")
    is_open = serializers.BooleanField(source="bay.is_open")
    positions = serializers.IntegerField(source="bay.positions")
    power_kw = serializers.FloatField(source="bay.power_kw")
    coolant_lpm = serializers.FloatField(source="bay.coolant_lpm")
    free_positions = serializers.IntegerField(source="free.positions")
    free_kw = serializers.FloatField(source="free.power_kw")
    free_lpm = serializers.FloatField(source="free.coolant_lpm")
    runs = BurnInRunSerializer(many=True)


class ActSerializer(serializers.Serializer[Any]):
    """Who acts, where nobody is signed on at the device."""

    operator = serializers.CharField(required=False, help_text="Badge of who does it, if not signed on.")


class StartRunSerializer(ActSerializer):
    """A rack to burn in; without a version, by the latest released one of the profile."""

    unit = serializers.UUIDField(help_text="uid of the rack.")
    profile = serializers.CharField(max_length=60)
    profile_version = serializers.CharField(max_length=20, required=False)
    bay: Any = serializers.SlugRelatedField(
        slug_field="code",
        queryset=BurnInBay.objects.all(),
        required=False,
        help_text="Code of the bay it is to wait for; else the first with room.",
    )
    retest_of: Any = serializers.SlugRelatedField(
        slug_field="uid",
        queryset=BurnInRun.objects.all(),
        required=False,
        help_text="uid of the failed run of this rack whose soak the trays that were good take over.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Find the profile."""
        profiles = BurnInProfile.objects.select_related("part").filter(name=attrs["profile"])
        if "profile_version" in attrs:
            found = profiles.filter(version=attrs["profile_version"]).first()
        else:
            found = profiles.filter(released_at__isnull=False).order_by("-released_at").first()
        if found is None:
            raise serializers.ValidationError({"profile": ["There is no such burn-in profile."]})
        return {**attrs, "profile": found}


class PauseRunSerializer(ActSerializer):
    """Why a run is paused, and whether its stress goes on meanwhile."""

    reason = serializers.CharField(max_length=300)
    keep_stress = serializers.BooleanField()


class SwapTraySerializer(ActSerializer):
    """The slot whose tray was swapped, and why."""

    slot = serializers.CharField(max_length=40)
    reason = serializers.CharField(max_length=300)


class AbortRunSerializer(ActSerializer):
    """Why a run is aborted."""

    reason = serializers.CharField(max_length=300)


class ReadingsQuerySerializer(serializers.Serializer[Any]):
    """Which series of which tray to read, and from when to when."""

    series = serializers.CharField(max_length=120, help_text="Name, or a pattern with * and ?.")
    slot = serializers.CharField(max_length=40)
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)


class PointSerializer(serializers.Serializer[Any]):
    """The lowest and highest value from a time on; null where missing."""

    at = serializers.DateTimeField()
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)


class SeriesSerializer(serializers.Serializer[Any]):
    """One series of a tray."""

    name = serializers.CharField()
    points = PointSerializer(many=True)


class ReadingsSerializer(serializers.Serializer[Any]):
    """The series of a tray, for a chart."""

    slot = serializers.CharField()
    number = serializers.IntegerField()
    series = SeriesSerializer(many=True)


class SeriesStatisticsSerializer(serializers.Serializer[Any]):
    """Count, minimum, maximum and mean of a series; null where it has no value."""

    name = serializers.CharField()
    unit = serializers.CharField()
    count = serializers.IntegerField()
    minimum = serializers.FloatField(allow_null=True)
    maximum = serializers.FloatField(allow_null=True)
    mean = serializers.FloatField(allow_null=True)


class StatisticsSerializer(serializers.Serializer[Any]):
    """The statistics of the series of a tray."""

    slot = serializers.CharField()
    number = serializers.IntegerField()
    series = SeriesStatisticsSerializer(many=True)


class SetBmcSerializer(ActSerializer):
    """Where the BMC of a unit answers, and how to log in."""

    url = serializers.URLField(help_text="http(s)://host[:port]")
    username = serializers.CharField(max_length=60, allow_blank=True)
    password = serializers.CharField(max_length=200, allow_blank=True, write_only=True, trim_whitespace=False)

    def validate_url(self, value: str) -> str:
        """Refuse addresses with credentials in them before anything is kept."""
        require_bmc_url(value)
        return value


class BmcSerializer(serializers.ModelSerializer[BmcEndpoint]):
    """Where the BMC of a unit answers; the password never comes back."""

    unit = serializers.UUIDField(source="unit.uid", read_only=True)
    has_password = serializers.SerializerMethodField()

    class Meta:
        model = BmcEndpoint
        fields = ("unit", "url", "username", "has_password")

    def get_has_password(self, endpoint: BmcEndpoint) -> bool:
        """Return whether a password is stored."""
        return bool(endpoint.password_encrypted)


class SetMeterSerializer(SetBmcSerializer):
    """Where the meter of a power shelf answers, and how to log in."""


class SetBayMeterSerializer(SetMeterSerializer):
    """Where the CDU of a bay answers, and what flows to the rack."""

    coolant = serializers.ChoiceField(choices=MeterEndpoint.Coolant.choices)
    connector = serializers.CharField(
        max_length=60, default="", allow_blank=True, help_text="Id of the CDU's secondary connector."
    )


class MeterSerializer(serializers.ModelSerializer[MeterEndpoint]):
    """Where a meter answers; the password never comes back."""

    unit = serializers.UUIDField(source="unit.uid", read_only=True, default=None)
    bay = serializers.CharField(source="bay.code", read_only=True, default=None)
    has_password = serializers.SerializerMethodField()

    class Meta:
        model = MeterEndpoint
        fields = ("unit", "bay", "url", "username", "connector", "coolant", "has_password")

    def get_has_password(self, endpoint: MeterEndpoint) -> bool:
        """Return whether a password is stored."""
        return bool(endpoint.password_encrypted)


class GridFactorSerializer(serializers.ModelSerializer[GridFactor]):
    """What the electricity of a site emits from a day on."""

    site = serializers.CharField(source="site.code", read_only=True)

    class Meta:
        model = GridFactor
        fields = ("site", "valid_from", "grams_per_kwh", "source", "assumption")


class ShelfEnergySerializer(serializers.Serializer[Any]):
    """What one power shelf took in and gave out."""

    slot = serializers.CharField()
    kwh_in = serializers.FloatField()
    kwh_out = serializers.FloatField()
    counter_kwh = serializers.FloatField(allow_null=True, help_text="By its own counters, gaps included.")
    efficiency_percent = serializers.FloatField(allow_null=True, help_text="Under load.")
    load_seconds = serializers.FloatField()
    metered_seconds = serializers.FloatField()
    unmetered_seconds = serializers.FloatField()
    said = serializers.CharField(help_text="Why it gave no reading, last time.")


class TraysEnergySerializer(serializers.Serializer[Any]):
    """What the trays say they drew."""

    kwh = serializers.FloatField()
    metered_seconds = serializers.FloatField()
    unmetered_seconds = serializers.FloatField()


class HeatSerializer(serializers.Serializer[Any]):
    """What the coolant carried away, and how that agrees with the power."""

    meter = serializers.CharField()
    coolant = serializers.CharField()
    coolant_source = serializers.CharField()
    kwh = serializers.FloatField()
    metered_seconds = serializers.FloatField()
    unmetered_seconds = serializers.FloatField()
    steady_seconds = serializers.FloatField(help_text="What the balance is made of: steady soak.")
    steady_kwh = serializers.FloatField()
    electric_kwh = serializers.FloatField()
    electric_source = serializers.CharField()
    liquid_share = serializers.FloatField()
    expected_kwh = serializers.FloatField()
    difference_percent = serializers.FloatField(allow_null=True)
    limit_percent = serializers.FloatField(allow_null=True)
    flagged = serializers.BooleanField()
    said = serializers.CharField()


class Co2Serializer(serializers.Serializer[Any]):
    """What the energy emitted, by the grid factor of the day the run began."""

    kg = serializers.FloatField()
    grams_per_kwh = serializers.FloatField()
    valid_from = serializers.DateField()
    source: Any = serializers.CharField()


class EnergySerializer(serializers.Serializer[Any]):
    """What a run cost in energy, as metered."""

    source: Any = serializers.CharField(help_text="Whose figure kwh is: power shelves, or trays.")
    kwh = serializers.FloatField(allow_null=True)
    rack_kwh = serializers.FloatField(help_text="This run and the rack's earlier ones.")
    asked_seconds = serializers.FloatField()
    metered_seconds = serializers.FloatField()
    unmetered_seconds = serializers.FloatField()
    psu_efficiency_percent = serializers.FloatField(allow_null=True)
    shelves = ShelfEnergySerializer(many=True)
    trays = TraysEnergySerializer()
    heat = HeatSerializer(allow_null=True)
    co2 = Co2Serializer(allow_null=True)
    remarks = serializers.ListField(child=serializers.CharField())
