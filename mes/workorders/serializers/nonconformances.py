"""How nonconformances, decisions about them and repairs look over REST."""

from typing import Any

from rest_framework import serializers

from mes.attachments.models import Attachment
from mes.people.models import Signature
from mes.quality.models import Disposition, Nonconformance, RepairRecord
from mes.rest import SignatureSerializer
from mes.workorders.models import Rework


class PictureSerializer(serializers.ModelSerializer[Attachment]):
    """A picture; its file is fetched by its uid."""

    class Meta:
        model = Attachment
        fields = ("uid", "name", "content_type", "size", "sha256", "uploaded_at", "uploaded_by")


class MadeSignatureSerializer(serializers.ModelSerializer[Signature]):
    """Who signed, meaning what, when."""

    class Meta:
        model = Signature
        fields = ("uid", "signer", "meaning", "reason", "method", "device", "signed_at")


class DispositionSerializer(serializers.ModelSerializer[Disposition]):
    """What the review board decided."""

    rework_route = serializers.CharField(source="rework_route.version", default=None, read_only=True)
    returns_to = serializers.CharField(source="returns_to.code", default=None, read_only=True)
    signature = MadeSignatureSerializer(read_only=True)
    quality_signature = MadeSignatureSerializer(read_only=True)

    class Meta:
        model = Disposition
        exclude = ("id", "nonconformance")


class ReworkSerializer(serializers.ModelSerializer[Rework]):
    """A unit on a rework route."""

    route = serializers.CharField(source="route.version", read_only=True)
    returns_to = serializers.CharField(source="returns_to.code", read_only=True)

    class Meta:
        model = Rework
        fields: tuple[str, ...] = ("route", "returns_to", "state", "started_at", "ended_at")


class RepairSerializer(serializers.ModelSerializer[RepairRecord]):
    """What was done."""

    failed_test = serializers.UUIDField(source="failed_test.uid", default=None, read_only=True)
    removed = serializers.CharField(source="removed.serial", default=None, read_only=True)
    fitted = serializers.CharField(source="fitted.serial", default=None, read_only=True)

    class Meta:
        model = RepairRecord
        exclude = ("id", "nonconformance")


class NonconformanceSerializer(serializers.ModelSerializer[Nonconformance]):
    """What is wrong with a unit, and everything decided and done about it."""

    site = serializers.CharField(source="site.code", read_only=True)
    unit = serializers.UUIDField(source="unit.uid", read_only=True)
    serial = serializers.CharField(source="unit.serial", read_only=True)
    part = serializers.CharField(source="unit.part_revision.part.number", read_only=True)
    operation = serializers.IntegerField(source="operation.sequence", default=None, read_only=True)
    test_run = serializers.UUIDField(source="test_run.uid", default=None, read_only=True)
    pictures = PictureSerializer(many=True, read_only=True)
    dispositions = DispositionSerializer(many=True, read_only=True)
    reworks = ReworkSerializer(many=True, read_only=True)
    repairs = RepairSerializer(many=True, read_only=True)

    class Meta:
        model = Nonconformance
        exclude = ("id", "uid", "version", "head")


class PicturesSerializer(serializers.Serializer[Any]):
    """Pictures that were uploaded as attachments before."""

    pictures = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=20)
    operator = serializers.CharField(required=False)


class ReportProblemSerializer(serializers.Serializer[Any]):
    """What is wrong; the source is the test if one is named, else the device or the person."""

    unit = serializers.UUIDField()
    symptom = serializers.CharField(max_length=60, help_text="A short code, e.g. leak, gpu_ecc, bent_pin.")
    source = serializers.ChoiceField(  # type: ignore[assignment]
        choices=Nonconformance.Source.choices, required=False
    )
    description = serializers.CharField(required=False, default="", allow_blank=True, max_length=4000)
    location = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=120, help_text="Path of slots, e.g. U08/SC1."
    )
    operation = serializers.IntegerField(
        required=False, default=None, help_text="Sequence where it was found; else the one that runs."
    )
    test_run = serializers.UUIDField(required=False, default=None, help_text="The failed test.")
    pictures = serializers.ListField(child=serializers.UUIDField(), required=False, default=list)
    operator = serializers.CharField(required=False)


class DisposeSerializer(serializers.Serializer[Any]):
    """What is decided; signed, and where a rework limit is reached signed by quality too."""

    kind = serializers.ChoiceField(choices=Disposition.Kind.choices)
    reason = serializers.CharField(max_length=300)
    rework_route = serializers.CharField(required=False, default="", help_text="Version of the rework route.")
    returns_to = serializers.CharField(
        required=False, default="", help_text="Code of the operation of its own route it returns to."
    )
    signature = SignatureSerializer(required=False)
    quality_signature = SignatureSerializer(required=False)


class RecordRepairSerializer(serializers.Serializer[Any]):
    """What was done; what was swapped in the slot is read from the installations."""

    action = serializers.CharField(max_length=300)
    symptom = serializers.CharField(required=False, default="", max_length=60)
    failed_test = serializers.UUIDField(required=False, default=None)
    slot = serializers.CharField(required=False, default="", max_length=120)
    minutes = serializers.DecimalField(
        required=False, default=None, max_digits=8, decimal_places=1, min_value=0
    )
    operator = serializers.CharField(required=False)
