/* Ends at once. Without a library, so that starting it costs little more than what every exec costs. */
void _start(void) {
#if defined(__x86_64__)
    __asm__ volatile("xor %edi, %edi; mov $231, %eax; syscall");
#elif defined(__aarch64__)
    __asm__ volatile("mov x0, #0; mov x8, #94; svc #0");
#else
#error "exit_group is not known for this machine"
#endif
}
