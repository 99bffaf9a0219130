"""Addresses of attachments."""

from rest_framework.routers import SimpleRouter

from mes.attachments.views import AttachmentViewSet

router = SimpleRouter()
router.register("attachments", AttachmentViewSet)
urlpatterns = router.urls
