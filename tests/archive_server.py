"""A stand-in for MAST on 127.0.0.1: the parts of its API that astroquery uses, and its faults on demand."""

from __future__ import annotations

import io
import json
import threading
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from astropy.io import fits

FLOATS = {"t_min": 0.0, "t_exptime": 0.0, "s_ra": 0.0, "s_dec": 0.0}
TEXTS = ("obsid", "obs_id", "obs_collection", "project", "intentType", "instrument_name", "filters", "target_name")
OBSERVATION = {**dict.fromkeys((*TEXTS, "proposal_id"), ""), **FLOATS}
PRODUCT = {"obsID": "", "parent_obsid": "", "productFilename": "", "dataURI": "", "dataRights": "PUBLIC", "size": 0}


def with_sums(path: Path) -> bytes:
    """Content of a FITS file, with CHECKSUM and DATASUM as files of the archive have them."""
    buffer = io.BytesIO()
    with fits.open(path) as hdus:
        hdus.writeto(buffer, checksum=True)
    return buffer.getvalue()


@dataclass
class StandIn:
    """What the archive holds, how it misbehaves, and what it was asked.

    ``faults`` has, for a path or a file name, what the next requests meet: an HTTP status, ``(status, headers)``,
    ``("cut", bytes)``, ``("hold", bytes)``, ``("slow", seconds)``, or ``("body", bytes)``. ``pace`` are the seconds
    that each 16 kB of a file take.
    """

    observations: list[dict[str, Any]] = field(default_factory=list)
    products: list[dict[str, Any]] = field(default_factory=list)
    content: dict[str, bytes] = field(default_factory=dict, repr=False)
    private: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)
    faults: dict[str, list[Any]] = field(default_factory=dict, repr=False)
    rename: dict[str, str] = field(default_factory=dict)
    executing: int = 0
    tags: bool = True
    ranges: bool = True
    pace: float = 0.0
    asked: list[tuple[str, str]] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)
    url: str = ""
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def downloads(self) -> list[str]:
        """The files that were asked for, with the bytes."""
        return [what for kind, what in self.asked if kind == "download"]

    def add(self, name: str, content: bytes, parent: str = "", **columns: Any) -> None:
        """Put in a file of an exposure; with a parent as a member of that association alone."""
        root = name.partition("_")[0]
        obsid = str(zlib.crc32(root.encode()))
        if not any(row["obs_id"] == (parent or root) for row in self.observations):
            number = obsid if not parent else str(zlib.crc32(parent.encode()))
            base = {"obsid": number, "obs_id": parent or root, "obs_collection": "HST", "project": "HST"}
            self.observations.append(OBSERVATION | base | {"intentType": "science"} | columns)
        parent_id = next(row["obsid"] for row in self.observations if row["obs_id"] == (parent or root))
        uri = f"mast:HST/product/{name}"
        ids = {"obsID": obsid, "parent_obsid": parent_id}
        self.products.append(PRODUCT | ids | {"productFilename": name, "dataURI": uri, "size": len(content)})
        self.content[name] = content

    def hide(self, name: str) -> None:
        """Leave a file to those who have a token."""
        self.private.add(name)
        for row in self.products:
            row["dataRights"] = "EXCLUSIVE_ACCESS" if row["productFilename"] == name else row["dataRights"]

    def fill(self, survey: Path) -> None:
        """Put in the exposures and darks of a survey: proposal 16801 in two filters, and dark programme 16568."""
        for number, path in enumerate(sorted((survey / "science").iterdir())):
            about = {"instrument_name": "WFC3/UVIS", "target_name": f"FIELD-B{number // 2 + 1}", "proposal_id": "16801"}
            filters = ("F336W", "F814W")[number % 2]
            when = {"t_min": 59770.0 + 10 * (number // 2) + 0.01 * number, "t_exptime": 500.0}
            place = {"s_ra": 10.0 + number // 2, "s_dec": 41.0}
            self.add(path.name, with_sums(path), filters=filters, **about, **when, **place)
        for number, path in enumerate(sorted((survey / "darks").iterdir())):
            about = {"instrument_name": "WFC3/UVIS", "target_name": "DARK", "proposal_id": "16568", "filters": "MIRVIS"}
            kind = {"intentType": "calibration", "t_min": 59765.0 + 10 * number, "t_exptime": 900.0}
            self.add(path.name.replace("_flt", "_flc"), with_sums(path), **about, **kind)

    def search(self, filters: list[dict[str, Any]]) -> list[dict[str, Any]]:
        def fits(row: dict[str, Any], one: dict[str, Any]) -> bool:
            value = row[one["paramName"]]
            if isinstance(value, float):
                return any(limits["min"] <= value <= limits["max"] for limits in one["values"])
            texts = [text.lower() for text in one["values"]]
            pattern = one.get("freeText", "").replace("%", "*").lower()
            return value.lower() in texts or bool(pattern and fnmatch(value.lower(), pattern))

        return [row for row in self.observations if all(fits(row, one) for one in filters)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, *_: object) -> None:
        pass

    @property
    def held(self) -> StandIn:
        return self.server.held

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        path = urlsplit(self.path).path
        if self.misbehave(path):
            return
        if path == "/portal/Mashup/Mashup.asmx/columnsconfig":
            self.held.asked.append(("columns", body))
            texts = {name: {"vot.datatype": "char"} for name in OBSERVATION if name not in FLOATS}
            self.answer(texts | {name: {"vot.datatype": "double"} for name in FLOATS})
        elif path == "/api/v0/invoke":
            request = json.loads(unquote(body.removeprefix("request=")))
            self.held.asked.append((request["service"], json.dumps(request["params"])))
            self.invoke(request["service"], request["params"])
        else:
            self.send_error(404)

    def invoke(self, service: str, params: dict[str, Any]) -> None:
        if self.held.executing:
            self.held.executing -= 1
            self.answer({"status": "EXECUTING", "data": [], "fields": []})
            return
        if service == "Mast.Caom.Products":
            wanted = params["obsid"].split(",")
            self.rows([row for row in self.held.products if row["parent_obsid"] in wanted], PRODUCT)
            return
        rows = self.held.search(params["filters"])
        if service == "Mast.Caom.Filtered.Position":
            ra, dec, radius = (float(part) for part in params["position"].split(","))
            rows = [row for row in rows if abs(row["s_ra"] - ra) < radius and abs(row["s_dec"] - dec) < radius]
        self.rows(rows, OBSERVATION)

    def rows(self, rows: list[dict[str, Any]], columns: dict[str, Any]) -> None:
        names = {name: self.held.rename.get(name, name) for name in columns}
        kinds = {str: "string", float: "float", int: "int"}
        fields = [{"name": names[name], "type": kinds[type(value)]} for name, value in columns.items()]
        data = [{names[name]: row[name] for name in columns} for row in rows]
        paging = {"page": 1, "pagesFiltered": 1}
        self.answer({"status": "COMPLETE", "msg": "", "fields": fields, "data": data, "paging": paging})

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        token = next(
            (part[11:] for part in self.headers.get("Cookie", "").split("; ") if part.startswith("mast_token=")), ""
        )
        known = token in self.held.tokens
        if split.path == "/told":  # for those who ask from another process, and since they asked last
            asked, self.held.asked = self.held.asked, []
            self.answer(asked)
            return
        if split.path == "/whoami":
            self.answer({"anon": not known, "attrib": {"display_name": "A. User"}})
            return
        if split.path != "/api/v0.1/Download/file":
            self.send_error(404)
            return
        name = parse_qs(split.query)["uri"][0].rpartition("/")[2]
        self.held.asked.append(("download", f"{name} {self.headers.get('Range', '')}".strip()))
        if name in self.held.private and not known:
            self.send_error(401)
            return
        queue = self.held.faults.get(name, [])
        kind, value = "", None
        if queue and isinstance(queue[0], tuple) and queue[0][0] in ("cut", "hold", "body"):
            kind, value = queue.pop(0)
        elif self.misbehave(name):
            return
        body = value if kind == "body" else self.held.content.get(name)
        if body is None:
            self.send_error(404)
            return
        self.send_file(name, body, value if kind in ("cut", "hold") else None)
        if kind == "hold":
            self.wfile.flush()
            self.held.released.wait(30)

    def send_file(self, name: str, body: bytes, cut: int | None) -> None:
        tag = f'"{zlib.crc32(body):x}"'
        start = 0
        if self.held.ranges and "Range" in self.headers and self.headers.get("If-Range") in (None, tag):
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if self.held.tags:
            self.send_header("ETag", tag)
        self.end_headers()
        part = body[start:] if cut is None else body[start : max(start, cut)]
        for first in range(0, len(part), 1 << 14) if self.held.pace else ():
            self.wfile.write(part[first : first + (1 << 14)])
            time.sleep(self.held.pace)
        if not self.held.pace:
            self.wfile.write(part)
        self.held.sent[name] += len(part)
        if cut is not None:
            self.close_connection = True

    def misbehave(self, key: str) -> bool:
        """Do what the next fault says; tell whether that was the answer."""
        queue = self.held.faults.get(key, [])
        if not queue:
            return False
        fault = queue.pop(0)
        if isinstance(fault, tuple) and fault[0] == "slow":
            time.sleep(fault[1])
            return False
        status, headers = fault if isinstance(fault, tuple) else (fault, {})
        self.send_response(status)
        for header, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(header, value)
        self.end_headers()
        return True

    def answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Running:
    """A stand-in that answers, as a context."""

    def __init__(self, held: StandIn) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.held = held  # type: ignore[attr-defined]
        self._server.daemon_threads = True
        held.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.held = held

    def __enter__(self) -> StandIn:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self.held

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
