//! The allocator's own: what was freed and is kept by it for later.

/// Gives back to the system what is not in use. The allocator by itself gives back only the end of what it has, and what
/// lives for minutes may lie there.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: may be called at any time, from any thread.
        unsafe { libc::malloc_trim(0) };
    }
}
