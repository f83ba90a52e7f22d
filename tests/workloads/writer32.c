// A program without a library, so that it can be built as a 32-bit one: writes six bytes to descriptor 1, and ends.
// Built by -m32 it does so by int 0x80, else by syscall.

#ifdef __x86_64__
enum { WRITE = 1, EXIT = 60 };
#else
enum { WRITE = 4, EXIT = 1 };
#endif

static long call(long number, long one, const void *two, long three) {
    long result;
#ifdef __x86_64__
    __asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(one), "S"(two), "d"(three)
                     : "rcx", "r11", "memory");
#else
    __asm__ volatile("int $0x80" : "=a"(result) : "0"(number), "b"(one), "c"(two), "d"(three) : "memory");
#endif
    return result;
}

void _start(void) {
    call(EXIT, call(WRITE, 1, "hello\n", 6) == 6 ? 0 : 99, 0, 0);
}
