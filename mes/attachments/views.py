"""Attachments over REST: files in, files out."""

import hashlib
from typing import Any

from django.db.models import QuerySet
from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from mes.attachments.models import Attachment
from mes.attachments.serializers import AttachmentSerializer, UploadSerializer
from mes.attachments.services import MAX_BYTES, store_attachment
from mes.ledger.services import Actor
from mes.rest import AnyAccept, perform
from mes.stations.services import chosen_site, of_site, require_floor, require_sign_on


class AttachmentViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Attachment]):
    """Keep files and hand them out."""

    queryset = Attachment.objects.select_related("site")
    serializer_class = AttachmentSerializer
    filterset_fields = ("name", "sha256", "content_type")
    lookup_field = "uid"
    lookup_value_converter = "uuid"
    parser_classes = [MultiPartParser]

    def get_queryset(self) -> QuerySet[Attachment]:
        """Return the attachments of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth)

    @extend_schema(request={"multipart/form-data": UploadSerializer}, responses={201: AttachmentSerializer})
    def create(self, request: Request) -> Response:
        """Keep a file, sent as multipart/form-data."""
        require_floor(request.auth, request.user, "attachments.add_attachment")
        given = UploadSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        file = given.validated_data["file"]
        content = file.read(MAX_BYTES + 1)
        named = given.validated_data.get("site")
        asked = {"name": file.name, "type": file.content_type, "sha256": hashlib.sha256(content).hexdigest()}

        def act(by: Actor) -> dict[str, Any]:
            require_sign_on(by)
            attachment = store_attachment(
                site=chosen_site(request.auth, named),
                name=file.name or "",
                content_type=file.content_type or "",
                content=content,
                by=by,
            )
            return dict(AttachmentSerializer(attachment).data)

        return perform(request, act, created=True, body={**asked, "site": named and named.code})

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Hand a file out whatever the caller says it accepts."""
        if self.action == "retrieve":
            return AnyAccept().select_renderer(request, self.get_renderers())
        return super().perform_content_negotiation(request, force)

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def retrieve(self, request: Request, uid: str) -> FileResponse:
        """Return the file itself. A browser shows pictures and runs nothing of it."""
        attachment = self.get_object()
        is_picture = attachment.content_type.startswith("image/")
        response = FileResponse(
            attachment.file.open("rb"),
            as_attachment=not is_picture,
            filename=attachment.name,
            content_type=attachment.content_type,
        )
        response["Content-Security-Policy"] = "default-src 'none'; sandbox"
        response["X-Content-Type-Options"] = "nosniff"
        response["Cache-Control"] = "private, max-age=31536000, immutable"
        return response
