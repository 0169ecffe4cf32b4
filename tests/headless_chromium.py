"""A few DevTools commands over Chromium's debugging pipe: open a page, watch it, measure it, photograph it."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

EXECUTABLE = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")


class Chromium:
    """One headless tab; `events` holds every DevTools event since it was opened."""

    def __init__(self, profile: Path):
        to_browser, ours_out = os.pipe()
        ours_in, from_browser = os.pipe()
        # The pipe protocol reads file descriptor 3 and writes 4.
        script = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
        command = [
            "bash",
            "-c",
            script,
            EXECUTABLE,
            *_FLAGS,
            f"--user-data-dir={profile}",
            "--remote-debugging-pipe",
        ]
        self.process = subprocess.Popen(
            command, pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_browser)
        os.close(from_browser)
        self._out, self._in, self._buffer, self._id = ours_out, ours_in, b"", 0
        self.events: list[dict] = []
        target = self._send("Target.createTarget", {"url": "about:blank"})["targetId"]
        self._session = self._send("Target.attachToTarget", {"targetId": target, "flatten": True})[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def open(self, page: Path | str, width: int, *, dark: bool = False, media: str = "") -> None:
        """Open a file or an address, and wait until it is loaded."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", {"media": media, "features": [scheme]})
        self.events.clear()
        self.send("Page.navigate", {"url": page if isinstance(page, str) else page.resolve().as_uri()})
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._receive()

    def evaluate(self, expression: str):
        options = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = self.send("Runtime.evaluate", options)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, expression: str, seconds: float = 60):
        """Wait until an expression is true, and return its value."""
        limit = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < limit, f"not within {seconds} s: {expression}"
            time.sleep(0.1)
        return value

    def click(self, element: str) -> None:
        """Click the middle of an element, given as an expression, as a mouse does."""
        at = self.evaluate(
            f"(e => {{ e.scrollIntoView({{block: 'center'}}); const r = e.getBoundingClientRect();"
            f" return {{x: r.x + r.width / 2, y: r.y + r.height / 2}}; }})({element})"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", {"type": kind, "button": "left", "clickCount": 1, **at})

    def choose_file(self, element: str, path: Path) -> None:
        """Put a file into a field of files, as its dialog does."""
        found = self.send("Runtime.evaluate", {"expression": element})["result"]["objectId"]
        self.send("DOM.setFileInputFiles", {"objectId": found, "files": [str(path)]})

    def press(self, key: str, code: int) -> None:
        for kind in ("rawKeyDown", "char", "keyUp"):
            text = {"text": "\r"} if (key, kind) == ("Enter", "char") else {}
            if kind != "char" or text:
                self.send(
                    "Input.dispatchKeyEvent",
                    {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, **text},
                )

    def screenshot(self, path: Path) -> None:
        """Photograph the whole page."""
        options = {"format": "png", "captureBeyondViewport": True}
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", options)["data"]))

    def of(self, method: str) -> list[dict]:
        return [event["params"] for event in self.events if event["method"] == method]

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=10)
        os.close(self._out)
        os.close(self._in)

    def send(self, method: str, params: dict | None = None) -> dict:
        return self._send(method, params, sessionId=self._session)

    def _send(self, method: str, params: dict | None = None, **session) -> dict:
        self._id += 1
        message = {"id": self._id, "method": method, "params": params or {}, **session}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._id:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _receive(self) -> dict:
        limit = time.monotonic() + 30
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], limit - time.monotonic())
            assert ready, "Chromium did not answer within 30 s"
            self._buffer += os.read(self._in, 1 << 20)
        line, self._buffer = self._buffer.split(b"\0", 1)
        message = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message
