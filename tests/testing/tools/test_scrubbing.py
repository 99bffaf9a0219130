"""No secret of a tool's output is kept, whichever way it got in."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mes.testing.models import Tool
from mes.testing.tools.reading import read_output
from mes.testing.tools.scrubbing import is_secret, scrub_data, scrub_text
from tests.testing.tools.outputs import SECRET, dcgm4, fio, hpl, nccl, nccl_text, ocp, stress_ng, text

DUMP = f"export API_KEY={SECRET} more\n"
LINES = [
    f"HF_TOKEN={SECRET}",
    f'WANDB_API_KEY="{SECRET} with {SECRET}"',
    f"DB_PASSWORD='{SECRET}'",
    f"db_pass: {SECRET}",
    f"AWS_REGION={SECRET}",
    f"tool --size 4 --hf-token {SECRET} --more 5",
    f"tool --password={SECRET}",
    f"Authorization: Bearer {SECRET}",
    f"curl -H 'authorization: Basic {SECRET}'",
    f"https://factory:{SECRET}@registry.example/path",
    f"redis://:{SECRET}@10.0.0.1:6379/0",
    f"A=1 B=2 NGC_API_KEY={SECRET} C=3",
    f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
    f"-----BEGIN PRIVATE KEY-----\n{SECRET}",
    f"apiKey = {SECRET}",
]


@pytest.mark.parametrize("line", LINES)
def test_secrets_in_lines(line: str) -> None:
    for around in (line, f"before\n{line}\nafter: 5"):
        clean = scrub_text(around)
        assert SECRET not in clean and "[removed]" in clean
    assert "after: 5" in scrub_text(f"{line}\nafter: 5") or "BEGIN PRIVATE" in line
    assert SECRET not in json.dumps(scrub_data({"env": [line], "deep": {"args": [[line]]}}))


@pytest.mark.parametrize(
    "token",
    [
        *(
            "AKIAABCDEFGHIJKLMNOP",
            "hf_abcdefghijklmnopqrst",
            "ghp_abcdefghijklmnopqrst12",
            "glpat-abcdefghijklmnop12",
        ),
        *("nvapi-abcdefghijklmnopqrst", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def"),
    ],
)
def test_tokens_of_known_makes(token: str) -> None:
    assert token not in scrub_text(f"using {token} for it")


def test_secrets_in_data() -> None:
    data: dict[str, Any] = {
        "password": SECRET,
        "apiKey": {"inner": SECRET},
        "tokens": [SECRET],
        "env": [{"name": "NGC_CLI_API_KEY", "value": SECRET}],
        "args": ["--password", SECRET, "--size", "4"],
        "pin": 4711,
        "kept": {"N": 5, "monitor": "DCGM", "PWD": "/root", "status": "Pass"},
    }
    clean = scrub_data(data)
    assert SECRET not in json.dumps(clean) and "4711" not in json.dumps(clean)
    assert clean["kept"] == data["kept"] and clean["args"][2:] == ["--size", "4"]


@pytest.mark.parametrize(
    "name", ["PATH", "PWD", "OLDPWD", "NCCL_DEBUG", "passed", "author", "serialNumber", "tests"]
)
def test_names_that_hide_nothing(name: str) -> None:
    assert not is_secret(name)
    assert scrub_text(f"{name}=value") == f"{name}=value"


OPTIONS: dict[str, Any] = {"job options": {"http_s3_key": SECRET, "filename": LINES[9]}}
OUTPUTS: list[tuple[Tool, Any]] = [
    (
        Tool.OCP,
        ocp(commandLine=f"soak --hf-token {SECRET}", parameters={"password": SECRET, "url": LINES[9]}),
    ),
    (Tool.DCGM, f"API_TOKEN={SECRET}\n{json.dumps(dcgm4('Warn', warnings=[LINES[0]], info=[LINES[9]]))}"),
    (Tool.NCCL_TESTS, nccl(args=["all_reduce_perf", "--token", SECRET])),
    (Tool.NCCL_TESTS, DUMP + nccl_text()),
    (Tool.HPL, DUMP + hpl()),
    (
        Tool.STRESS_NG,
        stress_ng().replace("hostname: demo", f"hostname: demo\n      password: |\n        {SECRET}"),
    ),
    (Tool.FIO, fio(**OPTIONS)),
]


@pytest.mark.parametrize(("tool", "output"), OUTPUTS, ids=[str(tool) for tool, _ in OUTPUTS])
def test_nothing_secret_comes_out_of_a_reader(tool: Tool, output: Any) -> None:
    assert SECRET.encode() in text(output)
    read = read_output(tool, text(output), exit_status=0)
    assert read.result.outcome == "PASS", read.result.reasons
    told = [read.kept, read.name, str(read.result), *(str(vars(row)) for row in read.result.measurements)]
    told += [str(vars(row)) for row in read.result.diagnoses]
    assert SECRET not in "".join(told)
    assert "[removed]" in read.kept
    again = read_output(tool, read.kept.encode(), exit_status=0)
    assert again.kept == read.kept and again.result.outcome == "PASS"


@given(st.text(max_size=60), st.text(max_size=60))
def test_scrubbing_twice_changes_nothing_more(before: str, after: str) -> None:
    once = scrub_text(f"{before}\nMY_TOKEN={SECRET} {after}")
    assert SECRET not in once
    assert scrub_text(once) == once


def test_scrubbing_is_quick_on_what_would_trap_it() -> None:
    begin = time.monotonic()
    for trap in ("a" * 400_000, "-" * 400_000, "key " * 100_000, "://" * 100_000, '"' * 400_000 + "token="):
        scrub_text(f"{trap} token")
    assert time.monotonic() - begin < 10
