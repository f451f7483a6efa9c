"""Every way of waiting in Python ends, and the guest's clock has moved by what was asked for. Prints what each took."""

import asyncio
import concurrent.futures
import json
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

SPAN = 0.2
SLACK = 0.05  # the instructions of the interpreter around the wait


def await_(coroutine_function: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    return lambda: asyncio.run(coroutine_function())


def timer() -> None:
    done = threading.Event()
    threading.Timer(SPAN, done.set).start()
    assert done.wait(10)


def condition() -> None:
    waiting = threading.Condition()
    with waiting:
        assert not waiting.wait(SPAN)


def lock() -> None:
    held = threading.Lock()
    held.acquire()
    assert not held.acquire(timeout=SPAN)


def queue_get() -> None:
    try:
        queue.Queue().get(timeout=SPAN)
    except queue.Empty:
        return
    raise AssertionError


def join() -> None:
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    thread.join(SPAN)
    assert thread.is_alive()
    release.set()
    thread.join()


def futures() -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(time.sleep, [SPAN] * 4)) == [None] * 4


def futures_timeout() -> None:
    release = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(release.wait)
        try:
            future.result(timeout=SPAN)
        except concurrent.futures.TimeoutError:
            release.set()
            return
    raise AssertionError


async def wait_for() -> None:
    try:
        await asyncio.wait_for(asyncio.get_running_loop().create_future(), SPAN)
    except asyncio.TimeoutError:
        return
    raise AssertionError


async def executor() -> None:
    loop = asyncio.get_running_loop()
    await asyncio.gather(*[loop.run_in_executor(None, time.sleep, SPAN) for _ in range(3)])


def poll() -> None:
    reading, _writing = os.pipe()
    poller = select.poll()
    poller.register(reading, select.POLLIN)
    assert poller.poll(SPAN * 1000) == []


def epoll() -> None:
    reading, _writing = os.pipe()
    with select.epoll() as poller:
        poller.register(reading, select.EPOLLIN)
        assert poller.poll(SPAN) == []


def socket_timeout() -> None:
    ours, _theirs = socket.socketpair()
    ours.settimeout(SPAN)
    try:
        ours.recv(1)
    except OSError:  # TimeoutError from Python 3.10 on
        return
    raise AssertionError


def interrupted() -> None:
    """Python resumes a sleep that a signal interrupted."""
    signal.signal(signal.SIGUSR1, lambda *_: None)
    main = threading.main_thread().ident
    assert main
    threading.Timer(SPAN / 2, signal.pthread_kill, (main, signal.SIGUSR1)).start()
    time.sleep(SPAN)


def child_timeout() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3)"]) as child:
        try:
            child.wait(timeout=SPAN)
        except subprocess.TimeoutExpired:
            child.kill()
            return
    raise AssertionError


WAITS: dict[str, Callable[[], object]] = {
    "sleep": lambda: time.sleep(SPAN),
    "timer": timer,
    "condition": condition,
    "lock": lock,
    "event": lambda: threading.Event().wait(SPAN),
    "queue": queue_get,
    "join": join,
    "futures": futures,
    "futures_timeout": futures_timeout,
    "asyncio.sleep": await_(lambda: asyncio.sleep(SPAN)),
    "asyncio.wait_for": await_(wait_for),
    "asyncio.executor": await_(executor),
    "select": lambda: select.select([], [], [], SPAN),
    "poll": poll,
    "epoll": epoll,
    "socket": socket_timeout,
    "sigtimedwait": lambda: signal.sigtimedwait([signal.SIGUSR2], SPAN),
    "interrupted": interrupted,
    "child": child_timeout,
}

took: dict[str, float] = {}
for name, wait in WAITS.items():
    wait()  # once for the modules that it loads
    began, worked = time.monotonic(), time.process_time()
    wait()
    worked = time.process_time() - worked
    took[name] = round(time.monotonic() - began, 6)
    assert SPAN <= took[name] < SPAN + worked + SLACK, (name, took[name], worked)
print(json.dumps(took))
