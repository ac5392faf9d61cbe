"""Device time for users' own code, on the stand-in of the driver; streams by NVIDIA's own Python package too."""

from __future__ import annotations

import pytest
from tests.stand_ins import run_python

from tokenclock.device.cuda_timer import stream_handle
from tokenclock.errors import UsageError

TICK = {"FAKE_CUDA_TICK_NS": "2500000"}


class TorchStream:
    cuda_stream = 77


class ProtocolStream:
    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, 78


class OlderProtocolStream:
    __cuda_stream__ = (0, 79)


class IntStream:
    def __int__(self) -> int:
        return 80


@pytest.mark.parametrize(
    ("stream", "handle"),
    [
        (None, 0),
        (0, 0),
        (2**40, 2**40),
        (TorchStream(), 77),
        (ProtocolStream(), 78),
        (OlderProtocolStream(), 79),
        (IntStream(), 80),
    ],
)
def test_streams_of_every_kind(stream: object, handle: int) -> None:
    assert stream_handle(stream) == handle


@pytest.mark.parametrize("stream", [-1, True, 1.5, "0", b"1", object(), [1]])
def test_what_is_no_stream(stream: object) -> None:
    with pytest.raises(UsageError, match="stream: expected an int from 0, a torch stream") as caught:
        stream_handle(stream)
    assert "\n" not in str(caught.value)


def output(code: str, environment: dict[str, str] | None = None) -> str:
    done = run_python(code, environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_block_is_timed_and_the_timer_used_again() -> None:
    code = """
        from tokenclock import CudaEventTimer
        timer = CudaEventTimer(0)
        print(timer.is_ready(), timer.elapsed_ns())
        for _ in range(2):
            with timer as same:
                assert same is timer
            print(timer.elapsed_ms(), timer.elapsed_ns(), timer.is_ready())
        timer.start()
        print(timer.elapsed_ns())  # the old stop does not count
        timer.stop()
        print(timer.elapsed_ms())
    """
    assert output(code, TICK).splitlines() == [
        "False None", "2.5 2500000 True", "2.5 2500000 True", "None", "2.5",
    ]  # fmt: skip


def test_it_waits_where_it_is_told_to_and_nowhere_else() -> None:
    code = """
        import ctypes, threading
        from tokenclock import CudaEventTimer
        from tokenclock.errors import MeasurementError
        set_clock_ns = ctypes.CDLL("libcuda.so.1").fake_cuda_set_clock_ns
        set_clock_ns(ctypes.c_int64(0))
        with CudaEventTimer() as timer:
            pass
        print(timer.elapsed_ns())
        try:
            timer.elapsed_ms(timeout_s=0.0)
        except MeasurementError as error:
            print(error)
        threading.Timer(0.05, set_clock_ns, [ctypes.c_int64(100_000_000)]).start()
        print(timer.elapsed_ms())
    """
    lines = output(code, {"FAKE_CUDA_LATE_NS": "100000000"}).splitlines()
    assert lines[0] == "None"
    assert lines[1].startswith("no device time: nothing was timed to its end within 0 s")
    assert lines[2] == "0.0"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"TOKENCLOCK_LIBCUDA": "/nowhere"}, "no device time: TOKENCLOCK_LIBCUDA=/nowhere cannot be loaded"),
        ({"CUDA_VISIBLE_DEVICES": ""}, "no device time: cuInit failed: CUDA_ERROR_NO_DEVICE (100)"),
        ({"FAKE_CUDA_FAIL": "cuEventCreate=2"}, "no device time: cuEventCreate failed: CUDA_ERROR_OUT_OF_MEMORY (2)"),
        ({"FAKE_CUDA_FAIL": "cuEventRecord=719"}, "no device time: cuEventRecord failed: CUDA_ERROR_LAUNCH_FAILED"),
        ({"FAKE_CUDA_FAIL": "cuEventQuery=719"}, "no device time: cuEventQuery failed: CUDA_ERROR_LAUNCH_FAILED (719)"),
        ({"FAKE_CUDA_FAIL": "cuEventElapsedTime=1"}, "no device time: cuEventElapsedTime failed"),
    ],
)
def test_what_fails_is_one_line(environment: dict[str, str], message: str) -> None:
    code = """
        from tokenclock import CudaEventTimer
        from tokenclock.errors import MeasurementError
        try:
            with CudaEventTimer() as timer:
                pass
            timer.elapsed_ms()
        except MeasurementError as error:
            print(error)
    """
    found = output(code, environment)
    assert found.startswith(message)
    assert found.count("\n") == 1


def test_an_error_inside_the_block_is_the_one_that_is_seen() -> None:
    code = """
        from tokenclock import CudaEventTimer
        try:
            with CudaEventTimer():
                raise KeyError("mine")
        except KeyError as error:
            print(error)
    """
    assert output(code, {"FAKE_CUDA_FAIL": "cuEventRecord=719@2"}) == "'mine'\n"


def test_a_stream_of_nvidia_s_own_python_package() -> None:
    code = """
        import ctypes
        from cuda.bindings import driver
        from tokenclock import CudaEventTimer
        def done(result):
            assert result[0] == driver.CUresult.CUDA_SUCCESS, result
            return result[1] if len(result) > 1 else None
        done(driver.cuInit(0))
        done(driver.cuCtxSetCurrent(done(driver.cuDevicePrimaryCtxRetain(done(driver.cuDeviceGet(1))))))
        stream = done(driver.cuStreamCreate(0))
        done(driver.cuCtxSetCurrent(done(driver.cuDevicePrimaryCtxRetain(done(driver.cuDeviceGet(0))))))
        stand_in = ctypes.CDLL("libcuda.so.1")
        stand_in.fake_cuda_set_clock_ns(ctypes.c_int64(0))
        with CudaEventTimer(stream) as timer:  # on another device than the current one
            stand_in.fake_cuda_work(ctypes.c_void_p(int(stream)), ctypes.c_int64(7_000_000))
        print(timer.is_ready())
        stand_in.fake_cuda_set_clock_ns(ctypes.c_int64(7_000_000))
        print(timer.is_ready(), timer.elapsed_ms())
    """
    assert output(code, {"FAKE_CUDA_DEVICES": "2"}) == "False\nTrue 7.0\n"
