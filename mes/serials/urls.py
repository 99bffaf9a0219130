"""Addresses of units and lots."""

from rest_framework.routers import SimpleRouter

from mes.serials.views import LotViewSet, SupplierViewSet, UnitViewSet

router = SimpleRouter()
router.register("units", UnitViewSet)
router.register("lots", LotViewSet)
router.register("suppliers", SupplierViewSet)
urlpatterns = router.urls
