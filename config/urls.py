"""Every address the product answers."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

api = [
    path("", include("mes.serials.urls")),
    path("", include("mes.quality.urls")),
    path("", include("mes.workorders.urls")),
    path("", include("mes.burnin.urls")),
    path("", include("mes.racks.urls")),
    path("", include("mes.traceability.urls")),
]

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="terminal:page")),
    path("terminal/", include("mes.terminal.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", include(api)),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="api-docs"),
]
