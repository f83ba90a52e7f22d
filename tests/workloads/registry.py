"""A registry of images, of the name's own kind of failure: PORT [FOLDER]. "whole" is the image whose config.json and
layer.tar are in the folder. Prints a line once it listens: PORT."""

import hashlib
import http.server
import json
import sys

OCI = "application/vnd.oci.image."
CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' % (b"0" * 64)
MODULE = b"\0asm\1\0\0\0"
PORT = int(sys.argv[1])


def digest(blob):
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def parts(folder):
    return [open(f"{folder}/{name}", "rb").read() for name in ("config.json", "layer.tar")]


def described(kind, blob):
    return {"mediaType": kind, "digest": digest(blob), "size": len(blob)}


MANIFEST = json.dumps({
    "schemaVersion": 2,
    "mediaType": OCI + "manifest.v1+json",
    "config": described(OCI + "config.v1+json", CONFIG),
    "layers": [described("application/wasm", MODULE)],
}).encode()


WHOLE = parts(sys.argv[2]) if len(sys.argv) > 2 else []
if WHOLE:
    WHOLE.append(json.dumps({
        "schemaVersion": 2,
        "mediaType": OCI + "manifest.v1+json",
        "config": described(OCI + "config.v1+json", WHOLE[0]),
        "layers": [described(OCI + "layer.v1.tar", WHOLE[1])],
    }).encode())


class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, headers=(), body=b""):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_GET(self):
        name = (self.path.split("/") + ["", "", ""])[2]
        token = f'Bearer realm="http://localhost:{PORT}/token/{name}",service="it",scope="repository:{name}:pull"'
        if self.path.startswith("/token/refused"):
            self.answer(401)
        elif self.path.startswith("/token/"):
            self.answer(200, [("Content-Type", "application/json")], b'{"token":"of-no-use"}')
        elif name == "basic":
            self.answer(401, [("WWW-Authenticate", 'Basic realm="it"')])
        elif name == "refused":
            self.answer(401, [("WWW-Authenticate", token)])
        elif name == "scope":
            self.answer(401, [("WWW-Authenticate", token + ',error="insufficient_scope"')])
        elif name == "token" and "Authorization" not in self.headers:
            # What every registry with tokens says first; with one this image is not found.
            self.answer(401, [("WWW-Authenticate", token)])
        elif name == "forbidden":
            self.answer(403)
        elif name == "limited":
            self.answer(429)
        elif name == "whole" and WHOLE and "/manifests/" in self.path:
            of = [("Content-Type", OCI + "manifest.v1+json"), ("Docker-Content-Digest", digest(WHOLE[2]))]
            self.answer(200, of, WHOLE[2])
        elif name == "whole" and WHOLE:
            blob = next((blob for blob in WHOLE if digest(blob) in self.path), None)
            self.answer(404) if blob is None else self.answer(200, [], blob)
        elif name == "wasm" and "/manifests/" in self.path:
            of = [("Content-Type", OCI + "manifest.v1+json"), ("Docker-Content-Digest", digest(MANIFEST))]
            self.answer(200, of, MANIFEST)
        elif name == "wasm":
            blob = next((blob for blob in (CONFIG, MODULE) if digest(blob) in self.path), None)
            self.answer(404) if blob is None else self.answer(200, [], blob)
        else:
            self.answer(404)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Registry)
print(PORT, flush=True)
server.serve_forever()
