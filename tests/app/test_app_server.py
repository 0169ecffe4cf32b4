"""The server: this computer alone, nothing without the secret, no code, no long message, one line where it cannot start."""

import json
import socket
import sys
import urllib.error
import urllib.request
import uuid

import psutil
import pytest
from app_server import INSTALLED, serving
from command_line import clada
from tiny_models import tiny_checkpoint

from clada_neuro.app.settings import LARGEST_UPLOAD

needed = pytest.mark.skipif(not INSTALLED, reason="the extra app is not installed")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving("--model", tiny_checkpoint(tmp_path_factory.mktemp("model"))) as started:
        yield started


@pytest.fixture(scope="module")
def kernel(server) -> str:
    """The process behind a page."""
    with urllib.request.urlopen(server.address, timeout=120) as page:
        text = page.read().decode()
    return json.loads(
        text.split('id="jupyter-config-data" type="application/json">')[1].split("</script>")[0]
    )["kernelId"]


def connect(server, kernel: str):
    import websocket

    address = f"ws://127.0.0.1:{server.port}/api/kernels/{kernel}/channels?token={server.secret}"
    return websocket.create_connection(address, timeout=30, origin=f"http://127.0.0.1:{server.port}")


def _answer(address: str) -> int | str:
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:
            return "login" if "/login" in answer.url else answer.url
    except urllib.error.HTTPError as refused:
        return refused.code


def message(kind: str, content: dict) -> str:
    header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "session": "x", "username": "x", "version": "5.3"}
    parts = {"parent_header": {}, "metadata": {}, "content": content, "channel": "shell", "buffers": []}
    return json.dumps({"header": header, **parts})


@needed
def test_it_listens_on_this_computer_alone(server):
    listening = [
        one.laddr.ip
        for one in psutil.Process(server.process.pid).net_connections("tcp")
        if one.status == psutil.CONN_LISTEN
    ]
    assert set(listening) == {"127.0.0.1"}


@needed
@pytest.mark.parametrize("path", ["", "?token=guessed", "api/kernels/{kernel}", "voila/files/page.py"])
def test_nothing_is_shown_without_the_secret(server, kernel, path):
    address = f"http://127.0.0.1:{server.port}/{path.format(kernel=kernel)}"
    assert _answer(address) in ("login", 403, 404)


@needed
def test_code_that_a_page_sends_is_not_run(server, kernel, tmp_path):
    made = tmp_path / "made"
    connection = connect(server, kernel)
    connection.send(message("execute_request", {"code": f"open({str(made)!r}, 'w')", "silent": False}))
    connection.send(message("kernel_info_request", {}))
    kinds = []
    while "kernel_info_reply" not in kinds:
        kinds.append(json.loads(connection.recv())["msg_type"])
    connection.close()
    assert "execute_reply" not in kinds
    assert not made.exists()


@needed
def test_a_message_that_is_too_long_ends_the_connection(server, kernel):
    connection = connect(server, kernel)
    assert _lives(connection, message("kernel_info_request", {}))
    assert not _lives(connection, message("comm_msg", {"data": "x" * (LARGEST_UPLOAD + 2**20)}))


def _lives(connection, sent: str) -> bool:
    """Send a message and one that is always answered, and return whether the answer comes."""
    import websocket

    try:
        connection.send(sent)
        connection.send(message("kernel_info_request", {}))
        while json.loads(connection.recv() or "{}")["msg_type"] != "kernel_info_reply":
            pass
    except (websocket.WebSocketException, OSError, KeyError):
        return False
    return True


@needed
def test_a_busy_port_is_one_line(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = clada(capsys, "app", "--no-browser", "--port", port)
    assert done.code == 2
    assert done.complaint.count("\n") == 0
    assert f"port {port} cannot be had" in done.complaint
    assert "--port" in done.complaint


def test_without_the_extra_the_line_says_how_to_get_it(capsys, monkeypatch):
    for name in ("voila", "voila.app"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "clada_neuro.app.serve", raising=False)
    done = clada(capsys, "app")
    assert done.code == 2
    assert "pip install 'clada-neuro[app]'" in done.complaint


def test_what_is_no_notebook_is_one_line(capsys, tmp_path):
    done = clada(capsys, "app", tmp_path / "script.py")
    assert done.code == 2
    assert "a notebook (.ipynb) expected" in done.complaint
