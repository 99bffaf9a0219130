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
from mes.stations.models import Device
from mes.stations.services import find_paired
from mes.terminal.policy import own_origin_only

FloorView = Callable[..., HttpResponse]
UnitView = Callable[[HttpRequest, Unit], HttpResponse]


def floor_page(permission: str) -> Callable[[FloorView], FloorView]:
    """Make a view that takes the paired terminal, or None for staff with the permission, a page.

    Strangers are sent to log in; people without the permission get 403.
    """

    def page_of(view: FloorView) -> FloorView:
        @wraps(view)
        def page(request: HttpRequest, **named: Any) -> HttpResponse:
            device = find_paired(request.session)
            if device is None and not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path(), "admin:login")
            if device is None and not request.user.has_perm(permission):
                raise PermissionDenied
            return view(request, device, **named)

        return require_safe(never_cache(own_origin_only(page)))

    return page_of


def unit_page(view: UnitView) -> FloorView:
    """Make a view of a unit a page at `.../<uid>/...`, for staff who may see units and for paired terminals.

    A terminal sees the units of its site; another site's unit is 404.
    """

    @floor_page("serials.view_unit")
    @wraps(view)
    def page(request: HttpRequest, device: Device | None, uid: Any) -> HttpResponse:
        return view(request, visible_unit(device, uid))

    return page


def person_at(request: HttpRequest) -> str:
    """Return whom the page is shown to, in words: the person logged in, else the terminal's device."""
    return str(request.user if request.user.is_authenticated else find_paired(request.session) or "")
