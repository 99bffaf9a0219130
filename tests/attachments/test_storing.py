"""Files are kept by their content, checked by their first bytes, and handed out harmless."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from rest_framework.test import APIClient

from mes.attachments.models import Attachment
from mes.attachments.services import MAX_BYTES, store_attachment
from mes.errors import RuleViolation
from mes.ledger.models import Event
from tests.builders import TESTER, Scanner, make_person, make_scanner, make_site, make_station
from tests.builders import supervisor_client as person_client

pytestmark = pytest.mark.django_db

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20
GOOD = {
    "image/png": PNG,
    "image/jpeg": b"\xff\xd8\xff\xe0rest",
    "image/webp": b"RIFF\x00\x00\x00\x00WEBPVP8 ",
    "application/pdf": b"%PDF-1.7 rest",
    "text/plain": b"torque 12 Nm\n",
    "application/json": b'{"a": [1, 2]}',
}


def store(content: bytes = PNG, kind: str = "image/png", name: str = "seal.png") -> Attachment:
    return store_attachment(site=make_site(), name=name, content_type=kind, content=content, by=TESTER)


def code_of(**given: Any) -> str:
    with pytest.raises(RuleViolation) as refusal:
        store(**given)
    assert not Attachment.objects.exists()
    return refusal.value.code


def files() -> list[Path]:
    return [path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()]


def upload(scanner: Scanner, content: bytes = PNG, name: str = "seal.png", kind: str = "image/png") -> Any:
    file = SimpleUploadedFile(name, content, content_type=kind)
    headers = {"Idempotency-Key": f"{name}-{kind}-{len(content)}"}
    return scanner.client.post("/api/v1/attachments/", {"file": file}, format="multipart", headers=headers)


@pytest.mark.parametrize("kind", GOOD)
def test_what_is_what_it_says_is_kept(kind: str) -> None:
    kept = store(GOOD[kind], kind)
    assert kept.file.read() == GOOD[kind]
    assert (kept.size, kept.content_type) == (len(GOOD[kind]), kind)


@pytest.mark.parametrize("kind", [*GOOD, "text/html", "image/svg+xml", "application/octet-stream", ""])
def test_a_program_by_any_name_is_not(kind: str) -> None:
    assert code_of(content=b"MZ\x90\x00\x03\x00", kind=kind) == "attachment_type"


def test_an_empty_and_a_large_file_and_one_without_name_are_not() -> None:
    assert code_of(content=b"") == "attachment_empty"
    assert code_of(content=PNG + b"\x00" * MAX_BYTES) == "attachment_too_large"
    assert code_of(name="\x00\n") == "attachment_name"
    assert code_of(name="x" * 121) == "attachment_name"
    assert files() == []


def test_the_same_file_is_kept_once_and_a_name_is_no_path() -> None:
    first, again, other = store(), store(), store(name="../../other.png")
    assert first.pk == again.pk != other.pk
    assert other.name == "other.png"
    assert len(files()) == 1


def test_an_undone_act_leaves_at_most_a_file_that_no_row_names() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        store()
        raise ZeroDivisionError
    assert (Attachment.objects.count(), len(files())) == (0, 1)
    assert store().file.read() == PNG


def test_a_device_keeps_a_file_and_gets_it_back_harmless() -> None:
    scanner = make_scanner()
    made = upload(scanner)
    assert made.status_code == 201
    path = f"/api/v1/attachments/{made.json()['uid']}/"
    got = scanner.client.get(path, headers={"Accept": "image/png"})
    assert got.getvalue() == PNG
    assert (got["Content-Type"], got["X-Content-Type-Options"]) == ("image/png", "nosniff")
    assert got["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert got["Content-Disposition"] == 'inline; filename="seal.png"'
    text = scanner.client.get(
        f"/api/v1/attachments/{upload(scanner, b'hi', 'a.txt', 'text/plain').json()['uid']}/"
    )
    assert text["Content-Disposition"] == 'attachment; filename="a.txt"'
    assert Event.objects.filter(kind="attachment.stored").count() == 2


def test_the_same_upload_answers_the_same_row_and_a_bad_one_is_refused() -> None:
    scanner = make_scanner()
    first = upload(scanner).json()
    second = APIClient()
    second.force_login(make_person(is_superuser=True))
    file = SimpleUploadedFile("seal.png", PNG, content_type="image/png")
    again = second.post("/api/v1/attachments/", {"file": file, "site": "S1"}, format="multipart")
    assert again.json()["uid"] == first["uid"]
    bad = upload(scanner, b"<html>", "seal.png", "image/png")
    assert (bad.status_code, bad.json()["code"]) == (422, "attachment_type")


def test_another_site_a_person_without_permission_and_nobody_signed_on() -> None:
    uid = upload(make_scanner()).json()["uid"]
    there = Scanner(make_station(site=make_site("S2")))
    assert there.get(f"attachments/{uid}/").status_code == 404
    assert there.get("attachments/").json()["results"] == []
    assert upload(there).json()["code"] == "device_not_signed_on"
    plain = APIClient()
    plain.force_login(make_person())
    assert plain.post("/api/v1/attachments/", {}, format="multipart").status_code == 403
    assert person_client().post("/api/v1/attachments/", {}, format="multipart").status_code == 400
