"""The server: Voilà on this computer's own address, which shows a notebook as a page and runs nothing that a page sends."""

import os
import secrets
import socket
import tempfile
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path

from traitlets.config import Config
from voila.app import Voila

from clada_neuro.app.settings import LARGEST_UPLOAD, Settings
from clada_neuro.errors import DataError

ADDRESS = "127.0.0.1"
PAGE = Path(__file__).parent / "app.ipynb"
_SHARE = Path(__file__).parent / "share"
_IDLE = 600  # seconds that a page may be closed before its process ends


def serve(
    models: Sequence[str],
    *,
    port: int,
    browser: bool = True,
    notebook: Path = PAGE,
    told: Callable[[str], None] = print,
) -> None:
    """Show the page until interrupted.

    Parameters
    ----------
    models : sequence of str
        What the page offers, already on this computer: its processes ask no hub.
    port : int
        Where it listens, on ``127.0.0.1`` alone; 0 takes a free one.
    browser : bool
        Open the page.
    notebook : Path
        Another notebook to show as a page, with its controls and without its code.
    told : callable
        Receives the address. It holds a secret of this call, without which nobody, on this computer either, sees a page.

    Raises
    ------
    DataError
        The port is taken.
    """
    port = free_port(port)
    secret = secrets.token_urlsafe(24)
    address = f"http://{ADDRESS}:{port}/?token={secret}"
    os.environ["JUPYTER_PATH"] = os.pathsep.join(
        [str(_SHARE), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    )
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    with tempfile.TemporaryDirectory(prefix="clada-neuro-app-", ignore_cleanup_errors=True) as folder:
        Settings(tuple(models), folder).hand_on()
        # No file of settings is read: one of another program must not open this server to others.
        server = _Server.instance(config=_config(port, secret, folder), config_file_paths=[])
        server.initialize([str(notebook.resolve())])

        def listening() -> None:
            told(address)
            if browser:
                webbrowser.open(address)

        server.listening = listening
        server.start()


class _Server(Voila):
    listening: Callable[[], None]

    def launch_browser(self) -> None:
        """Say that the page can be had: Voilà calls this once it listens."""
        self.listening()


def _config(port: int, secret: str, folder: str) -> Config:
    return Config(
        {
            "Voila": {
                "ip": ADDRESS,
                "port": port,
                "port_retries": 0,
                "token": secret,
                "open_browser": True,
                "connection_dir_root": folder,
                # One message carries an upload; a longer one ends the connection.
                "tornado_settings": {
                    "websocket_max_message_size": LARGEST_UPLOAD + 2**20,
                    "ws_ping_timeout": 30_000,
                },
                "log_level": "ERROR",
            },
            "VoilaConfiguration": {
                "template": "clada",
                "allow_template_override": "NO",
                "allow_theme_override": "NO",
                "file_allowlist": [],
                "show_tracebacks": False,
            },
            # Where the system has sockets in folders, what the page's process says passes through nothing that others can read.
            "KernelManager": {"transport": "ipc" if os.name == "posix" else "tcp"},
            "MappingKernelManager": {"cull_idle_timeout": _IDLE, "cull_interval": 60},
        }
    )


def free_port(port: int) -> int:
    """Return a port that is free on `ADDRESS`: the one asked for, or any for 0.

    Raises
    ------
    DataError
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind((ADDRESS, port))
        except OSError as error:
            raise DataError(
                f"port {port} cannot be had ({error.strerror}); close the program that has it, or give another: --port 0 takes any"
            ) from None
        return int(probe.getsockname()[1])
