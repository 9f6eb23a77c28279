import numpy as np
import pytest


@pytest.fixture
def rng(request):
    """Numbers that are the same at each run, and others for each test."""
    return np.random.default_rng([len(request.node.name), *request.node.name.encode()])
