"""Environment of the test run, set before Django reads its settings."""

import os

os.environ.setdefault("SECRET_KEY", "tests-only-secret-key-of-fifty-characters-or-more-0123456789")
