"""A client that keeps its connection: ADDRESS PORT CERTIFICATE TIMEOUT STEPS, which are post:PATH, wait:FILE and
mark:FILE; what it says of each request is its path, the status or what went wrong, and how long it waited."""

import http.client, os, ssl, sys, time

address, port, certificate, timeout, *steps = sys.argv[1:]
context = ssl.create_default_context(cafile=certificate)
context.check_hostname = False
context.set_alpn_protocols(["http/1.1"])
connection = http.client.HTTPSConnection(address, int(port), timeout=float(timeout), context=context)
for step in steps:
    what, _, value = step.partition(":")
    if what == "wait":
        while not os.path.exists(value):
            time.sleep(0.005)
    elif what == "mark":
        open(value, "w").close()
    elif what == "post":
        began = time.perf_counter()
        try:
            connection.request("POST", value, b'{"kind":"AdmissionReview"}' + b" " * 600)
            sent = time.perf_counter()
            response = connection.getresponse()
            waited = time.perf_counter() - sent
            response.read()
            print(value, response.status, waited * 1000, flush=True)
        except OSError as error:
            waited = time.perf_counter() - began
            print(value, type(error).__name__, waited * 1000, flush=True)
            connection.close()
    else:
        sys.exit(f"no step is called {step}")
connection.close()
