"""The door of attachments: store files by their content."""

import hashlib
import json
import secrets
from collections.abc import Callable
from pathlib import Path

from django.core.files.storage import default_storage
from django.db import transaction

from mes.attachments.models import Attachment, path_of
from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, record
from mes.people.services import lock_person
from mes.stations.models import Site

MAX_BYTES = 20 * 1024 * 1024
NAME_CHARACTERS = 120


def _is_text(content: bytes) -> bool:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\t\n\r\f" for character in text)


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True


LOOKS_LIKE: dict[str, Callable[[bytes], bool]] = {
    "image/png": lambda content: content.startswith(b"\x89PNG\r\n\x1a\n"),
    "image/jpeg": lambda content: content.startswith(b"\xff\xd8\xff"),
    "image/webp": lambda content: content[:4] == b"RIFF" and content[8:12] == b"WEBP",
    "application/pdf": lambda content: content.startswith(b"%PDF-"),
    "application/json": _is_json,
    "text/plain": _is_text,
}


@transaction.atomic
def store_attachment(*, site: Site, name: str, content_type: str, content: bytes, by: Actor) -> Attachment:
    """Keep a file under the SHA-256 of its content; the same content and name at a site are one attachment.

    What a file is, its first bytes say, not its name. The file is written before its row commits: an act that
    is undone leaves at most a file that no row names. Refuses with ``attachment_empty``,
    ``attachment_too_large``, ``attachment_type`` and ``attachment_name``.
    """
    name, kind = _clean_name(name), content_type.partition(";")[0].strip().lower()
    require_size(content)
    _require_type(kind, content)
    sha256 = hashlib.sha256(content).hexdigest()
    known = Attachment.objects.filter(site=site, sha256=sha256, name=name).first()
    if known is not None:
        return known
    attachment = Attachment(
        site=site, name=name, content_type=kind, size=len(content), sha256=sha256, uploaded_by=by.person
    )
    attachment.file.name = path_of(attachment, name)
    _write_once(Path(default_storage.path(attachment.file.name)), content)
    attachment.save()
    _record(attachment, by)
    return attachment


def _record(attachment: Attachment, by: Actor) -> None:
    person = lock_person(by.person)
    if person is not None:
        facts = {"attachment": str(attachment.uid), "name": attachment.name, "sha256": attachment.sha256}
        record(advance(person, "attachment.stored", by=by, payload={**facts, "site": attachment.site.code}))


def _write_once(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; whoever writes the same content at once does no harm."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    draft.write_bytes(content)
    draft.replace(path)


def _clean_name(name: str) -> str:
    last = name.replace("\\", "/").rpartition("/")[2]
    clean = "".join(character for character in last if character.isprintable()).strip()
    if not clean or len(clean) > NAME_CHARACTERS:
        raise RuleViolation(
            "attachment_name",
            f"A file needs a name of 1 to {NAME_CHARACTERS} characters.",
            rule="attachments have a name",
            next_step="Rename the file and send it again.",
        )
    return clean


def require_size(content: bytes) -> None:
    """Refuse with ``attachment_empty`` or ``attachment_too_large`` what is not kept."""
    if not content:
        raise RuleViolation(
            "attachment_empty",
            "The file is empty.",
            rule="an attachment has content",
            next_step="Choose the file again.",
        )
    if len(content) > MAX_BYTES:
        raise RuleViolation(
            "attachment_too_large",
            "The file is larger than 20 MB.",
            rule="attachments have at most 20 MB",
            next_step="Send a smaller picture, or split the document.",
        )


def _require_type(kind: str, content: bytes) -> None:
    looks_like = LOOKS_LIKE.get(kind)
    if looks_like is None or not looks_like(content):
        raise RuleViolation(
            "attachment_type",
            f"This is no file of type {kind}." if looks_like else f"Files of type {kind} are not kept.",
            rule="attachments are what they say they are",
            next_step="Send a PNG, JPEG or WebP picture, a PDF, plain text or JSON, with its own type.",
            types=sorted(LOOKS_LIKE),
        )
