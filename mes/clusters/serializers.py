"""How a cluster stands, over REST."""

from typing import Any

from rest_framework import serializers


class ClusterRackSerializer(serializers.Serializer[Any]):
    """A rack of a cluster."""

    uid = serializers.UUIDField(source="unit.uid")
    serial = serializers.CharField(source="unit.serial")
    part = serializers.CharField(source="unit.part_revision.part.number")
    state = serializers.CharField(source="unit.state")
    step = serializers.CharField(help_text="Where it is on its own route, in words.")
    burn_in = serializers.CharField(help_text="State of its last burn-in; empty: none.")
    holds = serializers.ListField(child=serializers.CharField())
    nonconformances = serializers.ListField(child=serializers.CharField())


class ClusterPlaceSerializer(serializers.Serializer[Any]):
    """A place in the rows of a cluster."""

    name = serializers.CharField()
    takes = serializers.CharField()
    rack = ClusterRackSerializer(allow_null=True)


class ClusterTestSerializer(serializers.Serializer[Any]):
    """A test that the cluster's route asks for."""

    sequence = serializers.IntegerField()
    operation = serializers.CharField()
    procedure = serializers.CharField()
    state = serializers.CharField(help_text="passed, failed or open")
    test_run = serializers.UUIDField(allow_null=True)


class ClusterSerializer(serializers.Serializer[Any]):
    """How a cluster stands: one word with why, its places, the racks that are coming, and its tests."""

    uid = serializers.UUIDField(source="unit.uid")
    serial = serializers.CharField(source="unit.serial")
    status = serializers.CharField(
        source="word", help_text="planned, assembling, testing, accepted, held, shipped"
    )
    why = serializers.CharField()
    order = serializers.CharField()
    stands_at = serializers.CharField(source="unit.stands_at", help_text="Empty: the factory.")
    planned = serializers.IntegerField(help_text="How many places there are.")
    placed = serializers.IntegerField(source="filled")
    places = ClusterPlaceSerializer(many=True)
    coming = ClusterRackSerializer(many=True)
    tests = ClusterTestSerializer(many=True)
    holds = serializers.ListField(child=serializers.CharField())
    nonconformances = serializers.ListField(child=serializers.CharField())


class SetUpAtSerializer(serializers.Serializer[Any]):
    """The customer's place at which a cluster is built up."""

    place = serializers.CharField(max_length=120, allow_blank=True, help_text="Empty: the factory.")
    operator = serializers.CharField(required=False, help_text="Badge of who does it, if not signed on.")
