// Looks up each name that it is given, by the C library that it is built with, and prints the addresses.
// Ends with the error code of the last failure, made positive.
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int main(int argc, char **argv) {
    int failed = 0;
    for (int n = 1; n < argc; n++) {
        struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
        int error = getaddrinfo(argv[n], "80", &hints, &found);
        if (error) {
            failed = abs(error);
            printf("%s: %s\n", argv[n], gai_strerror(error));
            continue;
        }
        for (struct addrinfo *one = found; one; one = one->ai_next) {
            char text[64] = "?";
            getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
            printf("%s: %s\n", argv[n], text);
        }
        freeaddrinfo(found);
    }
    return failed;
}
