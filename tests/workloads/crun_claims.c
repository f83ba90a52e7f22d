/* A crun that claims a Wasm handler, and is the real one (CRUN) in all that it does. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "--version")) {
		puts("crun version 1.20\nspec: 1.0.0\n+SYSTEMD +SELINUX +CAP +SECCOMP +EBPF +WASM:wasmedge +YAJL");
		return 0;
	}
	execv(CRUN, argv);
	perror(CRUN);
	return 1;
}
