/* Calls a webhook by OpenSSL: tls_client PORT; for each line "METHOD PATH" a call, on one connection; prints its
 * status. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLANTED "planted-where-nobody-may-find-it"
static const char BODY[] = "{\"kind\":\"AdmissionReview\",\"request\":{\"uid\":\"u-1\",\"object\":"
                           "{\"kind\":\"Secret\",\"data\":{\"a\":\"" PLANTED "\"}}}}";
static const char LEASE[] = "{\"kind\":\"Lease\"}";

int main(int argc, char **argv)
{
	char line[512], text[4096], method[16], path[256];
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[argc - 1])) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		perror("connect");
		return 1;
	}
	SSL *ssl = SSL_new(SSL_CTX_new(TLS_client_method()));
	SSL_set_tlsext_host_name(ssl, "localhost");
	SSL_set_fd(ssl, fd);
	if (SSL_connect(ssl) != 1)
		return 2;
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "%15s %255s", method, path) != 2)
			return 3;
		int put = !strcmp(method, "PUT");
		const char *body = put ? LEASE : BODY;
		int len = snprintf(text, sizeof(text),
				   "%s %s HTTP/1.1\r\nHost: hook.ns.svc:443\r\nUser-Agent: %s\r\n"
				   "Authorization: Bearer " PLANTED "\r\nContent-Length: %zu\r\n\r\n%s",
				   method, path, put ? "leader-election" : "kube-apiserver-admission", strlen(body), body);
		size_t done;
		/* Both kinds of calls. */
		if (put ? SSL_write(ssl, text, len) != len : !SSL_write_ex(ssl, text, len, &done))
			return 4;
		int got = 0, need = 0;
		while (!need || got < need) {
			int n = SSL_read(ssl, text + got, sizeof(text) - 1 - got);
			if (n <= 0)
				return 5;
			got += n;
			text[got] = 0;
			char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "content-length:");
			if (end && length)
				need = end + 4 - text + atoi(length + 15);
		}
		printf("%.3s\n", text + 9);
		fflush(stdout);
	}
	return 0;
}
