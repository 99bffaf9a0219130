"""Addresses of units and lots."""

from rest_framework.routers import SimpleRouter

from mes.serials.views import LotViewSet, UnitViewSet

router = SimpleRouter()
router.register("units", UnitViewSet)
router.register("lots", LotViewSet)
urlpatterns = router.urls
