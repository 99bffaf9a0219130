"""Addresses of the operator's terminal."""

from django.urls import path

from mes.terminal import views

app_name = "terminal"
urlpatterns = [
    path("", views.page, name="page"),
    path("state/", views.state, name="state"),
    path("pair/", views.pair, name="pair"),
    path("unpair/", views.unpair, name="unpair"),
]
