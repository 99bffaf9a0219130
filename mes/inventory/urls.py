"""Addresses of inventory."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from mes.inventory import views

router = SimpleRouter()
router.register("inventories", views.FoundInventoryViewSet)
router.register("inventory-collections", views.CollectionViewSet)
urlpatterns = [
    path("units/<uuid:uid>/inventories/", views.UploadInventory.as_view()),
    path("units/<uuid:uid>/inventories/collect/", views.CollectInventory.as_view()),
    path("units/<uuid:uid>/inventory-comparison/", views.CompareInventory.as_view()),
    path("units/<uuid:uid>/inventory-comparison/verify/", views.VerifyInventory.as_view()),
    path("units/<uuid:uid>/firmware-comparison/", views.CompareFirmware.as_view()),
    path("units/<uuid:uid>/firmware-comparison/verify/", views.VerifyFirmware.as_view()),
    *router.urls,
]
