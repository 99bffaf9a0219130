"""People and their groups in the admin; what they are trained in and what they signed."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from mes.backoffice import (
    AddedByService,
    FactAdmin,
    FactInline,
    OfficeAdmin,
    PasswordInput,
    action,
    actor_of,
    display,
    may,
)
from mes.ledger.services import Actor
from mes.people.models import PinGuard, Qualification, Signature, SignedWork, TrainingRecord, User
from mes.people.services import record_training, revoke_training, set_pin

if TYPE_CHECKING:  # the theme ships no types; its forms take the place of Django's
    from django.contrib.auth.forms import AdminPasswordChangeForm, AdminUserCreationForm, UserChangeForm

    DjangoUserAdmin = UserAdmin[User]
    ChangeForm = UserChangeForm[User]
    PasswordForm = AdminPasswordChangeForm[User]
    CreationForm = AdminUserCreationForm[User]
else:
    from unfold.forms import AdminPasswordChangeForm as PasswordForm
    from unfold.forms import UserChangeForm as ChangeForm
    from unfold.forms import UserCreationForm as CreationForm

    DjangoUserAdmin = UserAdmin

admin.site.unregister(Group)

POWERS = ("is_superuser", "groups", "user_permissions")


class NewPasswordForm(PasswordForm):
    """Sets a password without touching the person's history, which may grow meanwhile."""

    def save(self, commit: bool = True) -> Any:
        """Save the password only."""
        person = super().save(commit=False)
        if commit:
            person.save(update_fields=["password"])
        return person


class PinForm(forms.Form):
    """Asks for a new PIN; never shown again."""

    pin = forms.CharField(
        label="New PIN",
        max_length=12,
        widget=PasswordInput({"inputmode": "numeric", "autocomplete": "off", "autofocus": True}),
        help_text="4 to 12 digits. Let the person type it.",
    )


@admin.register(User)
class PersonAdmin(DjangoUserAdmin, OfficeAdmin):
    """People: badge, password, groups. They are switched off, never deleted, for records name them."""

    form = ChangeForm
    add_form = CreationForm
    change_password_form = NewPasswordForm
    list_display = ("username", "badge", "first_name", "last_name", "is_active", "is_staff")
    list_filter = ("is_active", "is_staff", "groups")
    search_fields = ("username", "badge", "first_name", "last_name")
    ordering = ("username",)
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("badge", "first_name", "last_name", "email")}),
        ("May", {"fields": ("is_active", "is_staff", *POWERS)}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"fields": ("username", "badge", "usable_password", "password1", "password2")}),)
    records = (
        ("Roles", "stations.roleassignment", "person__id__exact"),
        ("Training", "people.trainingrecord", "person__id__exact"),
    )
    actions_detail = ("set_pin",)

    def has_pin_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether who uses the page may change this person."""
        return self.has_change_permission(request, self.row(request, object_id) if object_id else None)

    @action(description="Set PIN", permissions=["pin"], icon="pin")
    def set_pin(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give a person a new PIN."""
        person = self.row(request, object_id)

        def act(by: Actor, given: dict[str, Any]) -> str:
            set_pin(person=person, pin=given["pin"], by=by)
            return f"{person} has a new PIN."

        return self.ask_for(
            request,
            person,
            title=f"Set the PIN of {person}",
            consequence="The old PIN stops working and a locked badge works again. It is on record that you"
            " set it; the PIN is not.",
            act=act,
            form=PinForm(request.POST if request.method == "POST" else None),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields shown only; nobody but a superuser gives powers away."""
        fixed = super().get_readonly_fields(request, obj)
        return fixed if request.user.is_superuser else (*fixed, *POWERS)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False for a superuser, unless a superuser asks."""
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False."""
        return False

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Save what was changed only: the person's history may grow while the page is open."""
        if not change:
            return super().save_model(request, obj, form, change)
        columns = {field.name for field in obj._meta.concrete_fields}
        return obj.save(update_fields=columns.intersection(form.changed_data))


@admin.register(Group)
class PeopleGroupAdmin(GroupAdmin, OfficeAdmin):
    """Groups and what their people may do."""


@admin.register(Qualification)
class QualificationAdmin(OfficeAdmin):
    """What people are trained in."""

    list_display = ("code", "name", "valid_days")
    search_fields = ("code", "name")
    ordering = ("code",)
    records = (("Who is trained in it", "people.trainingrecord", "qualification__id__exact"),)


EXPIRES_SOON = timedelta(days=30)


class ExpiryFilter(admin.SimpleListFilter):
    """Training by whether it counts, and for how long still."""

    title = "validity"
    parameter_name = "validity"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [("soon", "Expires within 30 days"), ("expired", "Expired"), ("revoked", "Revoked")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[TrainingRecord]) -> QuerySet[TrainingRecord]:
        """Narrow the list to a choice."""
        now, live = timezone.now(), queryset.filter(revoked_at__isnull=True)
        choices = {
            "soon": live.filter(expires_at__gt=now, expires_at__lte=now + EXPIRES_SOON),
            "expired": live.filter(expires_at__lte=now),
            "revoked": queryset.filter(revoked_at__isnull=False),
        }
        return choices.get(self.value() or "", queryset)


@admin.register(TrainingRecord)
class TrainingAdmin(AddedByService):
    """Who was trained in what, by whom and until when."""

    list_display = ("person", "qualification", "state", "trained_at", "expires_at", "trainer")
    list_select_related = ("person", "qualification")
    list_filter = (ExpiryFilter, "qualification")
    search_fields = ("person__username", "person__badge", "qualification__code")
    ordering = ("-id",)
    sortable_by = ()
    autocomplete_fields = ("person", "qualification")
    add_fieldsets = ((None, {"fields": ("person", "qualification", "trained_at", "trainer", "evidence")}),)
    fields = (
        *("person", "qualification", "state", "trained_at", "expires_at", "trainer", "evidence"),
        *("revoked_at", "revoked_by", "revoked_because"),
    )
    actions_detail = ("revoke",)

    @display(description="State", label={"valid": "success", "expired": "warning", "revoked": "danger"})
    def state(self, training: TrainingRecord) -> str:
        """Say whether the training counts."""
        if training.revoked_at:
            return "revoked"
        expires_at = training.expires_at
        return "expired" if expires_at and expires_at <= timezone.now() else "valid"

    def has_revoke_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may change training, and this one still counts."""
        training = self.row(request, object_id) if object_id else None
        return may(request, "people.change_trainingrecord") and not (training and training.revoked_at)

    def save_model(self, request: HttpRequest, obj: TrainingRecord, form: Any, change: bool) -> None:
        """Record the training."""
        obj.pk = record_training(by=actor_of(request), **form.cleaned_data).pk

    @action(description="Revoke", permissions=["revoke"], icon="block")
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take a training back, with a reason."""
        training = self.row(request, object_id)

        def act(by: Actor, reason: str) -> str:
            revoke_training(training=training, reason=reason, by=by)
            return f"{training} is revoked."

        return self.ask(
            request,
            training,
            title=f"Revoke {training}",
            consequence="The person may no longer do work that asks for it, until trained again.",
            act=act,
        )


class SignedWorkInline(FactInline):
    """Whose work a signature judges."""

    model = SignedWork
    fields = ("performer",)
    verbose_name_plural = "whose work"


@admin.register(Signature)
class SignatureAdmin(FactAdmin):
    """Who signed what, meaning what."""

    list_display = ("signer", "meaning", "reason", "subject", "method", "device", "signed_at")
    list_filter = ("meaning", "method")
    search_fields = ("signer", "subject", "reason")
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        *("signer", "meaning", "reason", "signed_at", "method", "device"),
        *("subject", "subject_digest", "uid"),
    )
    inlines = (SignedWorkInline,)


@admin.register(PinGuard)
class PinGuardAdmin(FactAdmin):
    """Wrong PINs in a row, and the badges they lock. A new PIN unlocks a badge."""

    list_display = ("badge", "device", "failures", "locked_until")
    list_filter = (("locked_until", admin.EmptyFieldListFilter),)
    search_fields = ("badge", "device")
    ordering = ("-locked_until", "badge")
    sortable_by = ()
