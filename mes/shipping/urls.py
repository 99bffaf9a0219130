"""Addresses of shipments, crates, indicators, ship holds and field returns."""

from rest_framework.routers import SimpleRouter

from mes.shipping.views import ShipmentViewSet
from mes.shipping.views_crates import CrateViewSet, IndicatorViewSet
from mes.shipping.views_returns import FieldReturnViewSet, PackingRuleViewSet, ShipHoldViewSet

router = SimpleRouter()
router.register("shipments", ShipmentViewSet)
router.register("crates", CrateViewSet)
router.register("indicators", IndicatorViewSet)
router.register("ship-holds", ShipHoldViewSet)
router.register("field-returns", FieldReturnViewSet)
router.register("packing-rules", PackingRuleViewSet)
urlpatterns = router.urls
