"""Addresses of definitions and work instructions."""

from rest_framework.routers import SimpleRouter

from mes.products.views import (
    InstructionReadingViewSet,
    InstructionViewSet,
    PartRevisionViewSet,
    PartViewSet,
    RouteViewSet,
)

router = SimpleRouter()
router.register("parts", PartViewSet)
router.register("part-revisions", PartRevisionViewSet)
router.register("routes", RouteViewSet)
router.register("instructions", InstructionViewSet)
router.register("instruction-readings", InstructionReadingViewSet)
urlpatterns = router.urls
