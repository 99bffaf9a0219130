"""Addresses of roles, tools and shifts."""

from rest_framework.routers import SimpleRouter

from mes.stations.views import RoleViewSet, ShiftViewSet, ToolViewSet

router = SimpleRouter()
router.register("roles", RoleViewSet)
router.register("tools", ToolViewSet)
router.register("shifts", ShiftViewSet)
urlpatterns = router.urls
