"""The pool of CUDA events from Python, on the stand-in of the driver; the native program tests what it does."""

from __future__ import annotations

import pytest
from tests.stand_ins import libcuda, run_python

TICK = {"FAKE_CUDA_TICK_NS": "1000000"}  # each record is 1 ms of device time after the one before it


def output(code: str, environment: dict[str, str] | None = None) -> str:
    done = run_python(code, environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_pairs_gaps_and_what_is_missing() -> None:
    code = """
        from tokenclock._core import CudaEventPool
        pool = CudaEventPool(3)
        for pair in (0, 2):
            pool.start(pair, 0)
            pool.stop(pair, 0)
        print(pool.wait(1.0), pool.elapsed_ns().tolist(), pool.between_ns(0, 5), len(pool), pool)
        pool.clear()
        print(set(pool.elapsed_ns().tolist()) == {-2**63})
        for event in range(4):
            pool.record(event, 0)
        print(pool.gaps_ns(0, 5).tolist())
    """
    missing = -(2**63)
    # four records: three gaps of 1 ms; the fifth and sixth event were not recorded
    assert output(code, TICK).splitlines() == [
        f"True [1000000, {missing}, 1000000] 3000000 3 <tokenclock._core.CudaEventPool of 3 pairs>",
        "True",
        f"[1000000, 1000000, 1000000, {missing}, {missing}]",
    ]


def test_late_completion_is_missing_then_there() -> None:
    code = """
        import ctypes
        from tokenclock._core import CudaEventPool
        set_clock_ns = ctypes.CDLL("libcuda.so.1").fake_cuda_set_clock_ns
        set_clock_ns(ctypes.c_int64(0))
        pool = CudaEventPool(1)
        pool.start(0, 0)
        pool.stop(0, 0)
        print(pool.elapsed_ns()[0] == -2**63, pool.wait(0.0))
        set_clock_ns(ctypes.c_int64(30_000_000))
        print(pool.elapsed_ns()[0], pool.wait(0.0))
    """
    assert output(code, {"FAKE_CUDA_LATE_NS": "30000000"}) == "True False\n0 True\n"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("CudaEventPool(0)", "ValueError: n_pairs: expected 1 to 1048576, got 0"),
        ("CudaEventPool(1, device=-1)", "ValueError: device: expected 0 or more, got -1"),
        ("CudaEventPool(1, device=9)", "CudaError: cuDeviceGet failed: CUDA_ERROR_INVALID_DEVICE (101): "),
        ("CudaEventPool(1).start(1, 0)", "IndexError: pair: expected 0 to 0, got 1"),
        ("CudaEventPool(1).record(2, 0)", "IndexError: event: expected 0 to 1, got 2"),
        ("CudaEventPool(1).record(0, 12345678)", "CudaError: cuEventRecord failed: CUDA_ERROR_INVALID_HANDLE (400)"),
        ("CudaEventPool(1).wait(-1)", "ValueError: timeout_s: expected 0 to 1e6 seconds"),
        ("CudaEventPool(1).gaps_ns(0, 2)", "ValueError: n: expected 0 to 1 gaps, got 2"),
        ("CudaEventPool(1).gaps_ns(1, 1)", "IndexError: event: expected 0 to 1, got 2"),
        ("CudaEventPool.__new__(CudaEventPool).clear()", "TypeError: this tokenclock._core.CudaEventPool was made by"),
    ],
)
def test_what_is_refused(statement: str, message: str) -> None:
    done = run_python(f"from tokenclock._core import CudaEventPool\n{statement}")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].removeprefix("tokenclock._core.").startswith(message)


def test_no_driver_is_told_in_one_line() -> None:
    code = """
        from tokenclock import _core
        print(_core.cuda_problem())
        for call in (_core.cuda_devices, _core.cuda_driver_version, lambda: _core.CudaEventPool(1)):
            try:
                call()
            except _core.CudaError as error:
                print(error)
    """
    lines = output(code, {"TOKENCLOCK_LIBCUDA": "/nowhere/libcuda.so.1"}).splitlines()
    assert len(lines) == 4
    assert all(line.startswith("TOKENCLOCK_LIBCUDA=/nowhere/libcuda.so.1 cannot be loaded (") for line in lines)


def test_no_device() -> None:
    code = "from tokenclock import _core; print(_core.cuda_problem())"
    assert output(code, {"CUDA_VISIBLE_DEVICES": ""}) == (
        "cuInit failed: CUDA_ERROR_NO_DEVICE (100): no CUDA-capable device is detected; "
        "see what nvidia-smi says, and what CUDA_VISIBLE_DEVICES leaves\n"
    )


def test_devices() -> None:
    code = "from tokenclock import _core; print(_core.cuda_devices()[0], _core.cuda_driver_version())"
    found = output(code, {"CUDA_VISIBLE_DEVICES": "2,0", "FAKE_CUDA_DEVICES": "3"})
    assert found == (
        "{'name': 'Stand-in GPU 2', 'compute_cap': 'sm90', 'uuid': 'GPU-00000000-0000-0000-0000-000000000002', "
        "'pci_bus_id': '0000:12:00.0'} 12080\n"
    )


def test_the_driver_s_file_may_be_named() -> None:
    code = "from tokenclock import _core; print(repr(_core.cuda_problem()))"
    assert output(code, {"LD_LIBRARY_PATH": "", "TOKENCLOCK_LIBCUDA": str(libcuda())}) == "''\n"
