"""The suites of others, with ours swapped in below them. Which of their calls are left to them, and why, is said in
`swapped_scipy.py` and `swapped_dask_image.py`.

dask-image's tests are in its source distribution: `DASK_IMAGE_TESTS` is the folder `test_ndfilters` of it, which `test.sh`
fetches.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def run(*arguments):
    """Tests that passed and failed, and calls that were answered and left."""
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", *arguments]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=HERE.parent, check=False)
    text = told.stdout + told.stderr
    print(text[-5000:])
    assert told.returncode == 0, text[-5000:]
    passed = int(re.search(r"(\d+) passed", text)[1])
    answered, left = map(int, re.search(r"channelwise answered (\d+) calls, [\w-]+ (\d+)", text).groups())
    return passed, answered, left


def test_scipy():
    passed, answered, left = run("--pyargs", "scipy.ndimage.tests.test_filters", "-p", "swapped_scipy")
    assert passed >= 2400 and answered >= 9500 and left <= 20


def test_dask_image():
    folder = Path(os.environ["DASK_IMAGE_TESTS"])
    passed, answered, left = run("-c", os.devnull, "--rootdir", str(folder.parents[1]), "-p", "swapped_dask_image", str(folder))
    assert passed >= 500 and answered >= 200 and left <= 130
