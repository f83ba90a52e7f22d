"""A webhook that does what the path says: ADDRESS PORT [CERTIFICATE KEY] [handshake=MS] [fork=1]."""

import http.server, socket, socketserver, ssl, struct, sys, time, urllib.parse


class Webhook(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        words = urllib.parse.urlsplit(self.path).path.strip("/").split("/")
        word, ms = words[0], int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        if word == "die":
            # What closes without lingering is reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            socket.close(self.connection.detach())
            self.close_connection = True
            return
        if word == "leave":
            self.close_connection = True
            return
        if word == "hang":
            time.sleep(3600)
        time.sleep(ms / 1000 if word == "slow" else 0)
        if word == "spin":
            # CPU time of this thread, however long that takes.
            until = time.thread_time() + ms / 1000
            while time.thread_time() < until:
                pass
        body = b'{"kind":"AdmissionReview","response":{"allowed":true}}'
        self.send_response(ms if word == "status" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if word == "trickle":
            time.sleep(ms / 1000)
        self.wfile.write(body)

    do_GET = do_PUT = do_POST

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    context = None
    handshake = 0

    def finish_request(self, request, client_address):
        time.sleep(self.handshake / 1000)
        if self.context:
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except OSError:
                return
        try:
            super().finish_request(request, client_address)
        except OSError:
            pass

    def handle_error(self, *_):
        pass


class Forking(socketserver.ForkingMixIn, Server):
    """Each connection by a process of its own."""

    def shutdown_request(self, request):
        # Its child has it; what is said at its end would be said for the child.
        self.close_request(request)


words = [word for word in sys.argv[1:] if "=" not in word]
options = dict(word.split("=") for word in sys.argv[1:] if "=" in word)
server = (Forking if "fork" in options else Server)((words[0], int(words[1])), Webhook)
server.handshake = int(options.get("handshake", 0))
if len(words) > 2:
    server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.context.load_cert_chain(words[2], words[3])
print("ready", flush=True)
server.serve_forever()
