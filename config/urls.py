"""Every address the product answers."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from mes.analysis.pages import runs_page, yield_page
from mes.terminal.wall import wall

api = [
    path("", include("mes.products.urls")),
    path("", include("mes.people.urls")),
    path("", include("mes.stations.urls")),
    path("", include("mes.attachments.urls")),
    path("", include("mes.serials.urls")),
    path("", include("mes.quality.urls")),
    path("", include("mes.workorders.urls")),
    path("", include("mes.burnin.urls")),
    path("", include("mes.cabling.urls")),
    path("", include("mes.cooling.urls")),
    path("", include("mes.electrical.urls")),
    path("", include("mes.clusters.urls")),
    path("", include("mes.inventory.urls")),
    path("", include("mes.shipping.urls")),
    path("", include("mes.analysis.urls")),
    path("", include("mes.racks.urls")),
    path("", include("mes.traceability.urls")),
]

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="terminal:page")),
    path("terminal/", include("mes.terminal.urls")),
    path("burn-in/", wall, name="burn-in-wall"),
    path("units/", include("mes.terminal.rack.urls")),
    path("admin/yield/", admin.site.admin_view(yield_page), name="yield"),
    path("admin/yield/runs/", admin.site.admin_view(runs_page), name="yield-runs"),
    path("admin/", admin.site.urls),
    path("api/v1/", include(api)),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="api-docs"),
]
