"""Addresses of the pages of a unit."""

from django.urls import path

from mes.terminal.rack.burn_in import burn_in
from mes.terminal.rack.cables import cables
from mes.terminal.rack.cluster import cluster
from mes.terminal.rack.coolant import coolant
from mes.terminal.rack.elevation import elevation
from mes.terminal.rack.firmware import firmware
from mes.terminal.rack.safety import safety
from mes.terminal.rack.shipping import shipping

urlpatterns = [
    path("<uuid:uid>/elevation/", elevation, name="unit-elevation"),
    path("<uuid:uid>/coolant/", coolant, name="unit-coolant"),
    path("<uuid:uid>/firmware/", firmware, name="unit-firmware"),
    path("<uuid:uid>/safety/", safety, name="unit-safety"),
    path("<uuid:uid>/burn-in/", burn_in, name="unit-burn-in"),
    path("<uuid:uid>/shipping/", shipping, name="unit-shipping"),
    path("<uuid:uid>/cluster/", cluster, name="unit-cluster"),
    path("<uuid:uid>/cables/", cables, name="unit-cables"),
]
