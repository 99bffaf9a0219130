"""Addresses of racks."""

from django.urls import path

from mes.racks.views import Contents

urlpatterns = [path("units/<uuid:uid>/contents/", Contents.as_view())]
