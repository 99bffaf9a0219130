"""Settings, read from the environment only. docs/configuration.md lists every variable."""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import dj_database_url
from celery.schedules import schedule
from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse_lazy

BASE_DIR = Path(__file__).resolve().parent.parent


def flag(name: str) -> bool:
    """Return whether an environment variable is switched on."""
    return os.environ.get(name, "").lower() in {"1", "true", "yes", "on"}


DEMO = flag("MES_DEMO")
DEBUG = flag("DEBUG")
DATA_DIR = Path(os.environ.get("MES_DATA_DIR") or BASE_DIR / "var" / ("demo" if DEMO else "data"))
DATA_DIR.mkdir(parents=True, exist_ok=True)


def demo_secret_key() -> str:
    """Return a key made once for this machine's demo, so that a second start keeps its sessions."""
    path = DATA_DIR / "secret-key"
    if not path.exists():
        draft = DATA_DIR / f"secret-key.{os.getpid()}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(50))
        with suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    return path.read_text()


SECRET_KEY = os.environ.get("SECRET_KEY") or (demo_secret_key() if DEMO else "")
if not SECRET_KEY:
    raise ImproperlyConfigured("Set SECRET_KEY to a long random value (only the demo makes its own).")

SECRET_KEY_FALLBACKS = [key for key in os.environ.get("SECRET_KEY_FALLBACKS", "").split(",") if key]

ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")
CSRF_TRUSTED_ORIGINS = [origin for origin in os.environ.get("CSRF_TRUSTED_ORIGINS", "").split(",") if origin]

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "mes.ledger",
    "mes.people",
    "mes.stations",
    "mes.attachments",
    "mes.products",
    "mes.serials",
    "mes.testing",
    "mes.racks",
    "mes.quality",
    "mes.workorders",
    "mes.burnin",
    "mes.cabling",
    "mes.cooling",
    "mes.electrical",
    "mes.clusters",
    "mes.inventory",
    "mes.shipping",
    "mes.analysis",
    "mes.definitions",
    "mes.traceability",
    "mes.terminal",
    "mes.simulators",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": (
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
        "PRAGMA recursive_triggers=ON;"
    ),
}
POSTGRESQL_OPTIONS = {"pool": {"min_size": 1, "max_size": 20, "timeout": 10}, "prepare_threshold": 1}


def database() -> dict[str, Any]:
    """Return Django's database settings for DATABASE_URL; SQLite in the data directory by default."""
    settings: dict[str, Any] = dict(
        dj_database_url.parse(os.environ.get("DATABASE_URL") or f"sqlite:///{DATA_DIR / 'db.sqlite3'}")
    )
    is_sqlite = settings["ENGINE"].endswith("sqlite3")
    settings["OPTIONS"] = {
        **settings.get("OPTIONS", {}),
        **(SQLITE_OPTIONS if is_sqlite else POSTGRESQL_OPTIONS),
    }
    settings["CONN_MAX_AGE"] = None if is_sqlite else 0
    if is_sqlite:
        settings["TEST"] = {"NAME": DATA_DIR / "test.sqlite3"}
    return settings


DATABASES = {"default": database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "people.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")

LANGUAGE_CODE = "en-us"
TIME_ZONE = os.environ.get("TIME_ZONE", "UTC")
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
WHITENOISE_USE_FINDERS = True
REPORTS_DIR = DATA_DIR / "reports"
MEDIA_ROOT = DATA_DIR / "media"
TELEMETRY_DIR = DATA_DIR / "telemetry"
for directory in (STATIC_ROOT, REPORTS_DIR, TELEMETRY_DIR):
    directory.mkdir(exist_ok=True)

SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
HTTPS_ONLY = flag("HTTPS_ONLY")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS_ONLY
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS_ONLY else None

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "mes.stations.authentication.DeviceTokenAuthentication",
        "mes.stations.authentication.TerminalAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer", "mes.rest.CsvRenderer"],
    "DEFAULT_PARSER_CLASSES": ["mes.rest.CleanJSONParser"],
    "DEFAULT_FILTER_BACKENDS": [
        "mes.rest.FilterBackend",
        "mes.rest.OrderingFilter",
    ],
    "DEFAULT_PAGINATION_CLASS": "mes.rest.CursorPagination",
    "DEFAULT_SCHEMA_CLASS": "config.schema.Schema",
    "EXCEPTION_HANDLER": "mes.rest.problem_response",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "RackMES API",
    "DESCRIPTION": "Build, test, burn in and prove AI data-centre racks.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "ENUM_NAME_OVERRIDES": {
        "UnitState": "mes.serials.models.Unit.State",
        "OrderState": "mes.workorders.models.WorkOrder.State",
        "OperationState": "mes.workorders.models.OperationRun.State",
        "BudgetState": "mes.racks.budgets.BudgetState",
        "BurnInState": "mes.burnin.models.BurnInRun.State",
        "AttemptState": "mes.burnin.models.BurnInAttempt.State",
        "ReportState": "mes.traceability.models.Report.State",
        "ContainmentState": "mes.quality.models.Containment.State",
        "OrderKind": "mes.workorders.models.WorkOrder.Kind",
        "RouteKind": "mes.products.models.Route.Kind",
        "DeviationKind": "mes.workorders.models.Deviation.Kind",
        "DispositionKind": "mes.quality.models.Disposition.Kind",
        "CableCheckKind": "mes.cabling.models.Check",
        "CableCheckOutcome": "mes.cabling.models.CableCheck.Outcome",
        "CablingProcedure": "mes.cabling.models.CablingVerdict.Procedure",
        "CableState": [(state, state) for state in ("missing", "loose", "failed", "unchecked", "done")],
        "PortState": [(state, state) for state in ("swapped", "missing", "unexpected", "unknown", "matched")],
        "NeighbourLink": "mes.cabling.models.Neighbour.Link",
        "NeighbourSource": "mes.cabling.models.NeighbourReport.Source",
        "NonconformanceSource": "mes.quality.models.Nonconformance.Source",
        "IdentifierKind": "mes.serials.models.Identifier.Kind",
        "ReworkState": "mes.workorders.models.Rework.State",
        "NonconformanceState": "mes.quality.models.Nonconformance.State",
        "LeakMethod": "mes.cooling.models.LeakTest.Method",
        "SignatureMethod": "mes.people.models.Signature.Method",
        "TestOutcome": "mes.testing.models.TestRun.Outcome",
        "TestStatus": "mes.testing.models.TestRun.Status",
        "SlotState": "mes.workorders.design.SlotState",
        "MeasurementVerdict": "mes.testing.models.Measurement.Verdict",
        "DesignVerdict": "mes.workorders.design.Verdict",
        "SafetyKind": "mes.electrical.models.SafetyTest.Kind",
        "HipotState": "mes.electrical.models.HipotSession.State",
        "ShipmentState": "mes.shipping.models.Shipment.State",
        "CrateState": "mes.shipping.models.Crate.State",
        "CrateCondition": "mes.shipping.models.Crate.Condition",
        "LooseItemKind": "mes.shipping.models.LooseItem.Kind",
        "IndicatorKind": "mes.shipping.models.Indicator.Kind",
        "IndicatorState": "mes.shipping.models.Indicator.State",
        "CollectionState": "mes.inventory.models.Collection.State",
        "InventorySource": "mes.inventory.models.FoundInventory.Source",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

EMBEDDED_BROKER = "embedded://localhost"
CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL") or os.environ.get("REDIS_URL") or EMBEDDED_BROKER
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "beat-schedule")
BURNIN_DISPATCH_SECONDS = float(os.environ.get("BURNIN_DISPATCH_SECONDS") or 1)
CELERY_BEAT_SCHEDULE = {
    "dispatch-burn-in": {
        "task": "mes.burnin.tasks.dispatch",
        "schedule": schedule(run_every=BURNIN_DISPATCH_SECONDS),
        "options": {"expires": 5},
    },
    "compact-samples": {
        "task": "mes.burnin.tasks.compact",
        "schedule": schedule(run_every=600.0),
        "options": {"expires": 300},
    },
    "archive-samples": {
        "task": "mes.burnin.tasks.archive",
        "schedule": schedule(run_every=3600.0),
        "options": {"expires": 1800},
    },
    "dispatch-port-polls": {
        "task": "mes.cabling.tasks.dispatch",
        "schedule": schedule(run_every=10.0),
        "options": {"expires": 10},
    },
    "make-asked-reports": {
        "task": "mes.traceability.tasks.make_reports",
        "schedule": schedule(run_every=5.0),
        "options": {"expires": 5},
    },
    "collect-asked-inventories": {
        "task": "mes.inventory.tasks.collect_due",
        "schedule": schedule(run_every=5.0),
        "options": {"expires": 5},
    },
}
BURNIN_ARCHIVE_DAYS = float(os.environ.get("BURNIN_ARCHIVE_DAYS") or "inf")
BURNIN_BMC_CONNECTIONS = int(os.environ.get("BURNIN_BMC_CONNECTIONS") or 4)
CABLING_POLL_SECONDS = float(os.environ.get("CABLING_POLL_SECONDS") or 300)
if CELERY_BROKER_URL.startswith(("redis://", "rediss://")):
    # No task here needs to be delivered twice. With kombu's record of unacknowledged messages a worker that
    # loses Redis in the middle of a task tries to put it back over the lost connection, and dies of it.
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {"ack_emulation": False}
if CELERY_BROKER_URL == EMBEDDED_BROKER:
    BROKER_DIR = DATA_DIR / "broker"
    for folder in ("messages", "control"):
        (BROKER_DIR / folder).mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(BROKER_DIR / "messages"),
        "data_folder_out": str(BROKER_DIR / "messages"),
        "control_folder": str(BROKER_DIR / "control"),
        "polling_interval": 0.2,
    }


def listed(title: str, model: str, icon: str) -> dict[str, Any]:
    """Return a sidebar link to an admin list, e.g. of "quality.hold", for those who may look at it."""
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{model.replace('.', '_')}_changelist"),
        "permission": lambda request: request.user.has_perm(model.replace(".", ".view_")),
    }


UNFOLD = {
    "SITE_TITLE": "RackMES",
    "SITE_HEADER": "RackMES",
    "SITE_SYMBOL": "dns",
    "SHOW_VIEW_ON_SITE": False,
    # A quiet blue grey: colour is kept for what is not normal.
    "COLORS": {
        "primary": {
            "50": "oklch(97.5% .008 245)",
            "100": "oklch(94.5% .014 245)",
            "200": "oklch(89.5% .024 245)",
            "300": "oklch(82% .038 245)",
            "400": "oklch(71% .055 245)",
            "500": "oklch(59% .068 245)",
            "600": "oklch(49% .07 245)",
            "700": "oklch(43% .063 245)",
            "800": "oklch(36% .05 245)",
            "900": "oklch(30% .04 245)",
            "950": "oklch(23% .03 245)",
        }
    },
    "SIDEBAR": {
        "show_search": True,
        "navigation": [
            {
                "title": "Work",
                "items": [
                    listed("Orders", "workorders.workorder", "assignment"),
                    listed("Units", "serials.unit", "inventory_2"),
                    listed("Holds", "quality.hold", "front_hand"),
                    listed("Nonconformances", "quality.nonconformance", "report"),
                    listed("Dispositions", "quality.disposition", "gavel"),
                    listed("Reworks", "workorders.rework", "autorenew"),
                    listed("Repairs", "quality.repairrecord", "handyman"),
                    listed("Containments", "quality.containment", "troubleshoot"),
                    listed("Engineering changes", "workorders.engineeringchange", "published_with_changes"),
                    listed("Deviations", "workorders.deviation", "rule"),
                    listed("Burn-in runs", "burnin.burninrun", "local_fire_department"),
                    listed("Stress tool results", "burnin.toolresult", "speed"),
                    listed("Safety tests", "electrical.safetytest", "electrical_services"),
                    listed("Live hipots", "electrical.hipotsession", "bolt"),
                    listed("Shipments", "shipping.shipment", "local_shipping"),
                    listed("Crates", "shipping.crate", "package_2"),
                    listed("Ship holds", "workorders.shiphold", "block"),
                    listed("Field returns", "shipping.fieldreturn", "assignment_return"),
                    listed("Cable connections", "cabling.cableconnection", "cable"),
                    {
                        "title": "Yield",
                        "icon": "query_stats",
                        "link": reverse_lazy("yield"),
                        "permission": lambda request: request.user.has_perm("testing.view_testrun"),
                    },
                ],
            },
            {
                "title": "Definitions",
                "items": [
                    listed("Parts", "products.part", "category"),
                    listed("Part revisions", "products.partrevision", "account_tree"),
                    listed("Routes", "products.route", "route"),
                    listed("Operations", "products.operation", "build"),
                    listed("Retest rules", "products.retestrule", "replay"),
                    listed("Work instructions", "products.instruction", "menu_book"),
                    listed("Firmware baselines", "products.firmwarebaseline", "memory"),
                    listed("Burn-in profiles", "burnin.burninprofile", "thermostat"),
                    listed("Grid factors", "burnin.gridfactor", "co2"),
                    listed("Safety plans", "electrical.safetyplan", "bolt"),
                    listed("Packing rules", "shipping.packingrule", "scale"),
                    listed("Cable plans", "cabling.cableplan", "cable"),
                ],
            },
            {
                "title": "Factory",
                "items": [
                    listed("Sites", "stations.site", "factory"),
                    listed("Lines", "stations.line", "conveyor_belt"),
                    listed("Stations", "stations.station", "location_on"),
                    listed("Devices", "stations.device", "barcode_scanner"),
                    listed("Tools", "stations.tool", "construction"),
                    listed("Shifts", "stations.shift", "schedule"),
                    listed("People", "people.user", "badge"),
                    listed("Roles", "stations.roleassignment", "shield_person"),
                    listed("Qualifications", "people.qualification", "school"),
                    listed("Groups", "auth.group", "group"),
                    listed("Suppliers", "serials.supplier", "local_shipping"),
                ],
            },
            {
                "title": "Records",
                "items": [
                    listed("Events", "ledger.event", "history"),
                    listed("Signatures", "people.signature", "draw"),
                    listed("Training", "people.trainingrecord", "workspace_premium"),
                    listed("Calibrations", "stations.calibration", "straighten"),
                    listed("Attachments", "attachments.attachment", "attach_file"),
                    listed("Wrong PINs", "people.pinguard", "lock"),
                    listed("Test runs", "testing.testrun", "science"),
                    listed("Units of orders", "workorders.orderunit", "list_alt"),
                    listed("Operation runs", "workorders.operationrun", "task_alt"),
                    listed("Recorded values", "workorders.capturedvalue", "edit_note"),
                    listed("Gate releases", "workorders.gaterelease", "lock_open"),
                    listed("Instructions read", "products.instructionreading", "fact_check"),
                    listed("Installations", "racks.installation", "device_hub"),
                    listed("Firmware", "racks.installedfirmware", "memory"),
                    listed("Indicators", "shipping.indicator", "sensors"),
                    listed("Receipts", "shipping.receipt", "checklist"),
                    listed("Cabling verdicts", "cabling.cablingverdict", "fact_check"),
                    listed("Neighbour reports", "cabling.neighbourreport", "hub"),
                    listed("Reports", "traceability.report", "description"),
                    listed("Burn-in samples", "burnin.telemetryarchive", "database"),
                    listed("Lots", "serials.lot", "package_2"),
                    listed("Waiting effects", "ledger.outboxmessage", "outbox"),
                    listed("Stored answers", "ledger.idempotencykey", "key"),
                ],
            },
        ],
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": os.environ.get("LOG_LEVEL", "INFO")},
    "loggers": {"httpx": {"level": "WARNING"}},
}
