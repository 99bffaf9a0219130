"""People and their groups in the admin."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest

from mes.backoffice import OfficeAdmin
from mes.people.models import User

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
