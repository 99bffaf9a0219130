"""How attachments look over REST."""

from typing import Any

from rest_framework import serializers

from mes.attachments.models import Attachment
from mes.stations.models import Site


class AttachmentSerializer(serializers.ModelSerializer[Attachment]):
    """What is known of an attachment; its content is at `/attachments/{uid}/`."""

    site = serializers.CharField(source="site.code", read_only=True)

    class Meta:
        model = Attachment
        exclude = ("id", "file")


class UploadSerializer(serializers.Serializer[Any]):
    """A file to keep; a person names the site, a device has one."""

    file = serializers.FileField(allow_empty_file=True)
    site = serializers.SlugRelatedField(slug_field="code", queryset=Site.objects.all(), required=False)
    operator = serializers.CharField(required=False, help_text="Badge, if nobody is signed on.")
