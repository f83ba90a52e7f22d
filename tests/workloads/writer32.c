// A 32-bit program without a library: writes six bytes to descriptor 1 by int 0x80, and ends.
// gcc -m32 -static -nostdlib

static int call(int number, int one, const void *two, int three) {
    int result;
    __asm__ volatile("int $0x80" : "=a"(result) : "0"(number), "b"(one), "c"(two), "d"(three) : "memory");
    return result;
}

void _start(void) {
    call(1, call(4, 1, "hello\n", 6) == 6 ? 0 : 99, 0, 0);
}
