"""Who may look at the pages of a unit: people of the office, and whoever stands at a paired terminal."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from mes.serials.models import Unit
from mes.serials.services import visible_unit
from mes.stations.services import find_paired
from mes.terminal.policy import own_origin_only

UnitView = Callable[[HttpRequest, Unit], HttpResponse]


def unit_page(view: UnitView) -> Callable[..., HttpResponse]:
    """Make a view of a unit a page at `.../<uid>/...`, for staff who may see units and for paired terminals.

    A terminal sees the units of its site; another site's unit is 404. Strangers are sent to log in.
    """

    @wraps(view)
    def page(request: HttpRequest, uid: Any) -> HttpResponse:
        device = find_paired(request.session)
        if device is None and not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path(), "admin:login")
        if device is None and not request.user.has_perm("serials.view_unit"):
            raise PermissionDenied
        return view(request, visible_unit(device, uid))

    return require_safe(never_cache(own_origin_only(page)))


def person_at(request: HttpRequest) -> str:
    """Return whom the page is shown to, in words: the person logged in, else the terminal's device."""
    return str(request.user if request.user.is_authenticated else find_paired(request.session) or "")
