"""A stand-in for kube-apiserver, as far as kubectl and a reader of lists see it: discovery, create, get, delete, list with the
field selectors that matter. What is made keeps the status that it was made with, as nobody reconciles it.

kube_api.py PORT CERTIFICATE KEY TOKEN FOLDER: what FOLDER/modes.json says of a resource (or of "*") is done instead of
answering: hang, drip, forbid, garbage, endless, redirect, wrong-kind. FOLDER/asked.log has a line for each request."""

import http.server
import json
import ssl
import sys
import time
import urllib.parse

KINDS = {
    "v1": {"pods": "Pod", "nodes": "Node", "namespaces": "Namespace", "services": "Service", "events": "Event"},
    "discovery.k8s.io/v1": {"endpointslices": "EndpointSlice"},
    "networking.k8s.io/v1": {"networkpolicies": "NetworkPolicy"},
    "node.k8s.io/v1": {"runtimeclasses": "RuntimeClass"},
    "autoscaling/v2": {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
    "admissionregistration.k8s.io/v1": {
        "validatingwebhookconfigurations": "ValidatingWebhookConfiguration",
        "mutatingwebhookconfigurations": "MutatingWebhookConfiguration",
    },
}
GLOBAL = {"nodes", "runtimeclasses", "namespaces", "validatingwebhookconfigurations", "mutatingwebhookconfigurations"}
OBJECTS = {}
PORT, CERTIFICATE, KEY, TOKEN, FOLDER = int(sys.argv[1]), *sys.argv[2:6]


def field(item, path):
    for part in path.split("."):
        item = item.get(part) if isinstance(item, dict) else None
    return item or ""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def say(self, what, code=200):
        body = what if isinstance(what, bytes) else json.dumps(what).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def fail(self, code, reason):
        self.say({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code}, code)

    def misbehave(self, mode):
        if mode == "hang":
            time.sleep(600)
        elif mode == "drip":
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            for _ in range(600):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.5)
        elif mode == "forbid":
            self.fail(403, "Forbidden")
        elif mode == "garbage":
            self.say(b'{"kind": "PodList", "items": [{"metadata": planted-garbage')
        elif mode == "endless":
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"kind": "PodList", "items": [')
            while True:
                self.wfile.write(b'{"metadata": {"name": "x"}},' * 4096)
        elif mode == "redirect":
            self.send_response(302)
            self.send_header("Location", "https://127.0.0.1:1/planted")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif mode == "wrong-kind":
            self.say({"kind": "ConfigMapList", "apiVersion": "v1", "items": []})

    def place(self):
        """Group and version, namespace, resource, name."""
        parts = urllib.parse.urlparse(self.path).path.strip("/").split("/")
        group, rest = ("v1", parts[2:]) if parts[0] == "api" else ("/".join(parts[1:3]), parts[3:])
        namespace = None
        if len(rest) > 2 and rest[0] == "namespaces":
            namespace, rest = rest[1], rest[2:]
        return group, namespace, (rest or [""])[0], rest[1] if len(rest) > 1 else None

    def do_GET(self):
        with open(f"{FOLDER}/asked.log", "a") as log:
            log.write(f"{self.command} {self.path}\n")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.fail(401, "Unauthorized")
        url = urllib.parse.urlparse(self.path)
        if url.path == "/api":
            return self.say({"kind": "APIVersions", "versions": ["v1"]})
        if url.path == "/apis":
            version = lambda group: {"groupVersion": group, "version": group.split("/")[1]}
            named = lambda group: {"name": group.split("/")[0], "versions": [version(group)], "preferredVersion": version(group)}
            return self.say({"kind": "APIGroupList", "apiVersion": "v1", "groups": [named(it) for it in KINDS if "/" in it]})
        if url.path == "/version":
            return self.say({"major": "1", "minor": "32", "gitVersion": "v1.32.0"})
        group = url.path.split("/", 2)[2] if url.path.count("/") >= 2 else ""
        if group in KINDS:
            verbs = ["create", "delete", "get", "list"]
            resource = lambda name, kind: {
                "name": name, "singularName": kind.lower(), "kind": kind, "namespaced": name not in GLOBAL, "verbs": verbs}
            resources = [resource(*it) for it in KINDS[group].items()]
            return self.say({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": resources})
        group, namespace, resource, name = self.place()
        if resource not in KINDS.get(group, {}):
            return self.fail(404, "NotFound")
        modes = json.load(open(f"{FOLDER}/modes.json"))
        mode = modes.get(resource) or modes.get("*")
        if mode:
            return self.misbehave(mode)
        if name:
            found = OBJECTS.get((resource, namespace, name))
            return self.say(found) if found else self.fail(404, "NotFound")
        items = [it for (of, its, _), it in OBJECTS.items() if of == resource and namespace in (None, its)]
        selector = urllib.parse.parse_qs(url.query).get("fieldSelector", [""])[0]
        for wanted in filter(None, selector.split(",")):
            path, value = wanted.split("=", 1)
            items = [it for it in items if field(it, path) == value]
        kind = KINDS[group][resource]
        self.say({"kind": f"{kind}List", "apiVersion": group, "metadata": {"resourceVersion": "1"}, "items": items})

    def do_POST(self):
        item = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.fail(401, "Unauthorized")
        group, namespace, resource, _ = self.place()
        key = resource, namespace, item["metadata"]["name"]
        with open(f"{FOLDER}/asked.log", "a") as log:
            log.write(f"POST {self.path} {json.dumps(item)}\n")
        if key in OBJECTS:
            return self.fail(409, "AlreadyExists")
        if namespace:
            item["metadata"]["namespace"] = namespace
        item["metadata"].setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        OBJECTS[key] = item
        self.say(item, 201)

    def do_DELETE(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.fail(401, "Unauthorized")
        _, namespace, resource, name = self.place()
        found = OBJECTS.pop((resource, namespace, name), None)
        self.say(found) if found else self.fail(404, "NotFound")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, address):
        pass


server = Server(("127.0.0.1", PORT), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERTIFICATE, KEY)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print("ready", server.server_address[1], flush=True)
server.serve_forever()
