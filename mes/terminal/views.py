"""The operator's terminal: the page, its live parts, and the pairing of a browser with a device."""

from importlib.metadata import version
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from mes.stations.models import Device
from mes.stations.services import find_by_token, find_paired, note_seen, pair_session, unpair_session
from mes.terminal.policy import own_origin_only
from mes.terminal.work import cursor_of, done_refused, next_action, read_session, read_work
from mes.workorders.models import WorkSession

VERSION = version("rackmes")
PIN_KEYS = "123456789"
SYMPTOMS = (
    ("leak", "Leak"),
    ("bent_pin", "Bent pin"),
    ("damaged", "Damaged"),
    ("does_not_fit", "Does not fit"),
    ("wrong_part", "Wrong part"),
    ("missing_part", "Part missing"),
    ("no_power", "No power"),
    ("other", "Other"),
)
PAIRED_FOR = 365 * 24 * 3600  # seconds; the token's own expiry and revocation end it earlier


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@own_origin_only
def pair(request: HttpRequest) -> HttpResponse:
    """Pair this browser with the device whose token is pasted or scanned; `?token=` fills the field in."""
    given = request.POST if request.method == "POST" else request.GET
    token = given.get("token", "").strip()
    device = find_by_token(token) if request.method == "POST" else None
    if device is not None:
        request.session.cycle_key()
        pair_session(request.session, device)
        request.session.set_expiry(PAIRED_FOR)
        return redirect("terminal:page")
    refused = request.method == "POST"
    facts = {"token": token, "refused": refused, "device": find_paired(request.session), "version": VERSION}
    return render(request, "terminal/pair.html", facts, status=422 if refused else 200)


@require_POST
@never_cache
@own_origin_only
def unpair(request: HttpRequest) -> HttpResponse:
    """Make this browser no device any more; whoever is signed on at the device stays signed on there."""
    unpair_session(request.session)
    request.session.cycle_key()
    return redirect("terminal:pair")


@require_safe
@never_cache
@own_origin_only
def page(request: HttpRequest) -> HttpResponse:
    """Show the terminal of the paired device."""
    device = find_paired(request.session)
    if device is None:
        return redirect("terminal:pair")
    return render(request, "terminal/page.html", _shown(device, read_session(device)))


@require_safe
@never_cache
@own_origin_only
def state(request: HttpRequest) -> HttpResponse:
    """Answer the live parts of the page as HTML; 204 when `?cursor=` is still true, 403 when not paired."""
    device = find_paired(request.session)
    if device is None:
        return HttpResponse(status=403)
    note_seen(device)
    session = read_session(device)
    if request.GET.get("cursor") == cursor_of(device, session):
        return HttpResponse(status=204)
    return render(request, "terminal/state.html", _shown(device, session))


def _shown(device: Device, session: WorkSession | None) -> dict[str, Any]:
    work = read_work(device, session)
    return {
        "device": device,
        "work": work,
        "next_action": next_action(device, work),
        "done_refused": done_refused(work),
        "symptoms": SYMPTOMS,
        "pin_keys": PIN_KEYS,
        "cursor": cursor_of(device, session),
        "version": VERSION,
        "now": timezone.localtime(),
        "time_zone": settings.TIME_ZONE,
    }
