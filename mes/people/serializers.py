"""How PINs, training and signatures look over REST."""

from typing import Any

from rest_framework import serializers

from mes.people.models import Qualification, Signature, TrainingRecord, User


class PinSerializer(serializers.Serializer[Any]):
    """A new PIN, and the password that proves whose it is."""

    pin = serializers.CharField(max_length=12, write_only=True, help_text="4 to 12 digits.")
    password = serializers.CharField(max_length=1024, write_only=True, trim_whitespace=False)


class QualificationSerializer(serializers.ModelSerializer[Qualification]):
    """A qualification."""

    class Meta:
        model = Qualification
        exclude = ("id",)


class TrainingSerializer(serializers.ModelSerializer[TrainingRecord]):
    """A training of a person."""

    person = serializers.CharField(source="person.username", read_only=True)
    qualification = serializers.CharField(source="qualification.code", read_only=True)

    class Meta:
        model = TrainingRecord
        exclude: tuple[str, ...] = ()


class NewTrainingSerializer(serializers.Serializer[Any]):
    """A training that took place."""

    person = serializers.SlugRelatedField(
        slug_field="username", queryset=User.objects.filter(is_active=True), help_text="User name."
    )
    qualification = serializers.SlugRelatedField(slug_field="code", queryset=Qualification.objects.all())
    trainer = serializers.CharField(max_length=150)
    trained_at = serializers.DateTimeField(required=False, help_text="Now, if left out.")
    evidence = serializers.CharField(required=False, max_length=200)


class SignatureFactSerializer(serializers.ModelSerializer[Signature]):
    """A signature and whose work it judges."""

    performers = serializers.SlugRelatedField(  # type: ignore[var-annotated]
        source="works", slug_field="performer", many=True, read_only=True
    )

    class Meta:
        model = Signature
        exclude = ("id",)
