"""A rack of 24 simulated trays soaked for 72 hours in about a minute, computed again from their log.

python benchmarks/burnin_72h.py [TRAYS [SECONDS]]

It runs the test of the same name at full size, on the database of DATABASE_URL, and prints what was compared.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

TEST = "tests/burnin/test_72_hours.py"


def main() -> int:
    trays, seconds = [*sys.argv[1:3], *("24", "50")[len(sys.argv[1:3]) :]]
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        settings = {
            "BURNIN_72H_TRAYS": trays,
            "BURNIN_72H_SECONDS": seconds,
            "BURNIN_72H_RESULT": str(result),
        }
        command = [sys.executable, "-m", "pytest", "-q", "--reuse-db", f"--basetemp={folder}/tests", TEST]
        ended = subprocess.run(command, env={**os.environ, **settings}, check=False)
        if ended.returncode == 0:
            sys.stdout.write(result.read_text() + "\n")
        return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
