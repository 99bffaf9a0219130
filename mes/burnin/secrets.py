"""BMC passwords at rest: encrypted with a key derived from SECRET_KEY, so a database copy shows none."""

import base64
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.utils.encoding import force_bytes

PURPOSE = b"rackmes bmc password"


class UnreadableSecret(ValueError):  # noqa: N818 - names the state of the secret
    """The password was encrypted under another SECRET_KEY, or is damaged."""


def encrypt_password(password: str) -> str:
    """Return the ciphertext of a password; "" for none."""
    return _fernet().encrypt(password.encode()).decode() if password else ""


def decrypt_password(ciphertext: str) -> str:
    """Return the password; raises UnreadableSecret when neither SECRET_KEY nor its fallbacks open it."""
    if not ciphertext:
        return ""
    try:
        return _fernet().decrypt(ciphertext).decode()
    except InvalidToken:
        raise UnreadableSecret("the password cannot be decrypted with this SECRET_KEY") from None


def _fernet() -> MultiFernet:
    return MultiFernet([_derive(key) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)])


@cache
def _derive(secret_key: str | bytes) -> Fernet:
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(force_bytes(secret_key))
    return Fernet(base64.urlsafe_b64encode(key))
