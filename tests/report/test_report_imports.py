"""What ``evalharness report`` loads."""

from __future__ import annotations

import json
import subprocess
import sys

from evalharness.report.build_report import Report


def test_a_report_loads_neither_pandas_nor_what_draws_tables(sweep: Report) -> None:
    """`report --json` needs neither; data frames can still be made in the same process."""
    code = (
        "import sys\n"
        "from evalharness.cli import main\n"
        f"main(['report', {str(sweep.run.root)!r}, '--json'])\n"
        "loaded = sorted({'pandas', 'rich', 'scipy.stats', 'vl_convert'} & set(sys.modules))\n"
        "import pyarrow as pa\n"
        "frame = pa.table({'a': [1, 2]}).to_pandas()\n"
        "print(loaded, frame['a'].sum(), pa.array(frame['a']).to_pylist(), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["run"]["name"] == sweep.run.name
    assert done.stderr.splitlines()[-1] == "[] 3 [1, 2]"
