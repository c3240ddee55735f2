"""All settings, in one file, read from the environment. `.env.example` explains each."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from csp.constants import NONE, SELF
from django.contrib.messages import constants as message_levels
from django.core.exceptions import ImproperlyConfigured

from metaview_outreach import env

BASE_DIR = Path(__file__).resolve().parent.parent
env.load(Path(os.environ.get("ENV_FILE", BASE_DIR / ".env")))
VAR_DIR = Path(env.text("VAR_DIR", str(BASE_DIR / "var")))

# --- What kind of installation this is ---------------------------------------------------------------------------
MODE = env.choice("MODE", "production", ["production", "demo", "test"])
PRODUCTION = MODE == "production"
DEBUG = env.flag("DEBUG", default=False)
SITE_URL = env.address("SITE_URL", None if PRODUCTION else "http://localhost:8000")
SITE_HOST = urlsplit(SITE_URL).hostname or ""
ALLOWED_HOSTS = env.items("ALLOWED_HOSTS", [SITE_HOST, "localhost", "127.0.0.1"] if not PRODUCTION else [SITE_HOST])

# --- Secrets: random, never a pass phrase -------------------------------------------------------------------------
SECRET_KEY = env.text("SECRET_KEY", None if PRODUCTION else "demo-and-tests-only-" + "x" * 40)
SECRET_KEY_FALLBACKS = env.items("SECRET_KEY_FALLBACKS")
# The first key encrypts; all are tried when reading. `manage.py rotate_fernet_keys` says how to change them.
FERNET_KEYS = env.items("FERNET_KEYS", [] if PRODUCTION else ["demo-and-tests-only-fernet"])
# Signs receipts, as `id:key`. The first signs; keep the old ones so that old receipts stay verifiable.
RECEIPT_KEYS = env.keyed("RECEIPT_KEYS", [] if PRODUCTION else ["demo:demo-and-tests-only"])

# --- Microsoft ----------------------------------------------------------------------------------------------------
SANDBOX_URL = env.address("SANDBOX_URL", "")
MICROSOFT_CLOUD = env.choice("MICROSOFT_CLOUD", "global", ["global", "us-gov", "us-dod", "china"])
MICROSOFT_CLIENT_ID = env.text("MICROSOFT_CLIENT_ID", None if PRODUCTION else "00000000-0000-4000-8000-00000000c0de")
MICROSOFT_CLIENT_SECRET = env.text("MICROSOFT_CLIENT_SECRET", "" if PRODUCTION else "sandbox-secret")
MICROSOFT_CERTIFICATE = env.file("MICROSOFT_CERTIFICATE")  # a PEM file with private key and certificate
MICROSOFT_SECRET_EXPIRES = env.day("MICROSOFT_SECRET_EXPIRES")  # a date, to warn before it comes


def refuse_unsafe_production() -> None:
    """Stop a production start that would be unsafe, with one line that says what to do."""
    complaints = {
        "DEBUG is on: a production site must not show its insides. Remove DEBUG.": DEBUG,
        "SECRET_KEY is weak: use at least 50 random characters.": len(SECRET_KEY) < 50 or len(set(SECRET_KEY)) < 10,
        "FERNET_KEYS is missing: mailbox tokens could not be encrypted. Set at least one random key.": not FERNET_KEYS,
        "FERNET_KEYS holds a weak key: use at least 32 random characters.": any(len(key) < 32 for key in FERNET_KEYS),
        "RECEIPT_KEYS is missing: receipts could not be signed. Set it as id:key.": not RECEIPT_KEYS,
        "RECEIPT_KEYS holds a weak key: use at least 32 random characters.": any(
            len(key) < 32 for key in RECEIPT_KEYS.values()
        ),
        "SANDBOX_URL is set: a production site must talk to Microsoft. Remove it.": bool(SANDBOX_URL),
        "SITE_URL must begin with https://.": not SITE_URL.startswith("https://"),
        "MICROSOFT_CLIENT_SECRET or MICROSOFT_CERTIFICATE is missing.": not (
            MICROSOFT_CLIENT_SECRET or MICROSOFT_CERTIFICATE
        ),
    }
    for complaint, applies in complaints.items():
        if applies:
            raise ImproperlyConfigured(complaint)


if PRODUCTION:
    refuse_unsafe_production()

# --- Django -------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "accounts",
    "mailconnect",
    "sequences",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "crispy_forms",
    "crispy_bootstrap5",
    "django_q",
    "csp",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.local_time",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "metaview_outreach.urls"
WSGI_APPLICATION = "metaview_outreach.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "metaview_outreach.chrome.frame",
            ],
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

# --- Database -----------------------------------------------------------------------------------------------------
DATABASES = {"default": env.database("DATABASE_URL", f"sqlite:///{VAR_DIR / 'outreach.sqlite3'}")}
SQLITE = DATABASES["default"]["ENGINE"].endswith("sqlite3")
if SQLITE:
    VAR_DIR.mkdir(parents=True, exist_ok=True)
    DATABASES["default"]["OPTIONS"] = {
        # A write transaction takes its lock at BEGIN: no deadlock by upgrade, and a permit excludes a revocation.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        # FULL: a state must be on disk before the request that it announces, also when the power fails.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=20000;",
    }
    # Threads of a test share a file database; an in-memory one would be a database per thread.
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / "test.sqlite3")}

CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": redis_url}
    if (redis_url := env.text("REDIS_URL", ""))
    # Shared by all web workers, as rate limits need it: `manage.py createcachetable` makes the table.
    else {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "shared_cache",
        # With Django's 300 a flood of attempts would push out the counts of the attempts before.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

# --- The queue only rings the bell; the database is the truth ------------------------------------------------------
Q_CLUSTER = {
    "name": "outreach",
    "orm": "default",
    "workers": env.number("WORKER_TASKS_AT_ONCE", 2, least=1),
    "timeout": 120,
    # More than timeout × (1 + (queue_limit + 1) ÷ workers): a prefetched task's lease runs while it waits.
    "retry": 400,
    "queue_limit": 1,
    "save_limit": -1,
    "ack_failures": True,
    "max_attempts": 1,
    "catch_up": False,
    "poll": 0.5,
    "recycle": 500,
    "label": "Queue",
}

# --- People and sign-in -------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_FORMS = {"signup": "accounts.forms.SignupForm"}
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = True
ACCOUNT_PASSWORD_RESET_BY_CODE_ENABLED = True  # no token in an address
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
MFA_ADAPTER = "accounts.second_factor.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not PRODUCTION
MFA_TOTP_ISSUER = "Metaview Outreach"

# --- Mail of the product itself (invitations, notices): never a sequence --------------------------------------------
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", f"Metaview Outreach <no-reply@{SITE_HOST or 'localhost'}>")
EMAIL_HOST = env.text("EMAIL_HOST", "localhost")
EMAIL_PORT = env.number("EMAIL_PORT", 25, least=1)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS", default=PRODUCTION)
EMAIL_TIMEOUT = 10
EMAIL_FILE_PATH = VAR_DIR / "mail"
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if PRODUCTION else 'filebased'}.EmailBackend"
OPERATOR_EMAILS = env.items("OPERATOR_EMAILS")

# --- Security -----------------------------------------------------------------------------------------------------
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
SESSION_COOKIE_AGE = 14 * 24 * 3600
SECURE_SSL_REDIRECT = PRODUCTION and env.flag("SECURE_SSL_REDIRECT", default=True)
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = PRODUCTION
SECURE_REFERRER_POLICY = "same-origin"
if env.flag("BEHIND_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    # Rate limits count the client's address, not the proxy's.
    ALLAUTH_TRUSTED_PROXY_COUNT = env.number("PROXIES", 1, least=1)
CSRF_TRUSTED_ORIGINS = [SITE_URL]
X_FRAME_OPTIONS = "DENY"
LOGIN_HOSTS = {
    "global": "login.microsoftonline.com",
    "us-gov": "login.microsoftonline.us",
    "us-dod": "login.microsoftonline.us",
    "china": "login.partner.microsoftonline.cn",
}
MICROSOFT_LOGIN_HOST = LOGIN_HOSTS[MICROSOFT_CLOUD]
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "frame-src": [SELF],
        "manifest-src": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        # Chromium holds a form's redirect to Microsoft against form-action too.
        "form-action": [SELF, SANDBOX_URL or f"https://{MICROSOFT_LOGIN_HOST}"],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
CANDIDATE_FILE_MAX_BYTES = 20 * 1024 * 1024

# --- Static files and forms ----------------------------------------------------------------------------------------
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not PRODUCTION
CRISPY_ALLOWED_TEMPLATE_PACKS = CRISPY_TEMPLATE_PACK = "bootstrap5"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
MESSAGE_TAGS = {message_levels.DEBUG: "info", message_levels.ERROR: "danger"}  # Bootstrap's words
SILENCED_SYSTEM_CHECKS: list[str] = []

# --- Logs: to stdout, without secrets or personal data --------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"stdout": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stdout"], "level": env.choice("LOG_LEVEL", "INFO", ["DEBUG", "INFO", "WARNING", "ERROR"])},
}
