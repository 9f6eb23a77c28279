"""The vectors of other tools that the crate's own tests hold it to, through NumPy."""

import json
from pathlib import Path

import numpy as np
import pytest

import channelwise

GOLDEN = Path(__file__).parents[3] / "tests" / "golden"
CASES = json.loads((GOLDEN / "manifest.json").read_text())["cases"]


def close(got, want, tolerance):
    if "abs" in tolerance:
        assert np.abs(got.astype("int64") - want.astype("int64")).max() <= tolerance["abs"]
    else:
        np.testing.assert_allclose(got, want, tolerance["rtol"], tolerance["atol"])


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in CASES])
def test_golden(case):
    files = {name: np.load(GOLDEN / path) for name, path in case["files"].items()}
    border = case["border"]
    constant = border["constant"] if isinstance(border, dict) else None
    options = {
        "stride": case["stride"],
        "dilation": case["dilation"],
        "padding": case["padding"],
        "border": "constant" if constant is not None else border,
        "constant": constant,
        "flip": case["flip"],
        "activation": case["activation"],
        "bias": files.get("bias"),
    }
    if case["kind"] == "forward":
        got = channelwise.filter2d(files["input"], files["kernel"], **options)
        assert got.dtype == files["input"].dtype
        close(got, files["output"], case["tolerance"])
        return
    gradients = channelwise.backward(files["input"], files["kernel"], files["grad_output"], **options)
    got = {"grad_input": gradients.input, "grad_kernel": gradients.kernel, "grad_bias": gradients.bias}
    for name in got.keys() & files.keys():
        close(got[name], files[name], case["tolerance"][name])


def test_all_are_there():
    kinds = [case["kind"] for case in CASES]
    assert len(kinds) >= 32 and len([kind for kind in kinds if kind != "forward"]) >= 2
