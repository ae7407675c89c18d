"""W-099: the admin API answers what its own description says, whatever is sent to it. No answer is a 500."""

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from weir_process import Weir  # noqa: E402

MASTER = "master-key-of-the-api-tests"
SEED = "1"
# `tests/long/run W-099` asks for more.
EXAMPLES = "60" if os.environ.get("WEIR_CASES") == "full" else "5"


def test_the_admin_api_is_as_described(tmp_path):
    # The tool sends many wrong keys, each of which shall be told so.
    config = "server:\n  master_key: ${WEIR_MASTER_KEY}\n  wrong_keys_per_minute: 0\n"
    with Weir(tmp_path, config, environment={"WEIR_MASTER_KEY": MASTER}) as weir:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{weir.url}/openapi.json"),
            *("-H", f"Authorization: Bearer {MASTER}", "--include-path-regex", "^/admin/v1"),
            # What is sent may fit the description and still name a team that does not exist: a 400 as described.
            *("--exclude-checks", "unsupported_method,positive_data_acceptance"),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--seed", SEED),
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=3000)
        print(done.stdout[-6000:])
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        assert "passed" in done.stdout
