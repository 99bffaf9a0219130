"""Addresses of people's PINs, training and signatures."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from mes.people.views import OwnPin, QualificationViewSet, SignatureViewSet, TrainingViewSet

router = SimpleRouter()
router.register("qualifications", QualificationViewSet)
router.register("training-records", TrainingViewSet)
router.register("signatures", SignatureViewSet)
urlpatterns = [path("me/pin/", OwnPin.as_view()), *router.urls]
