//! The allocator's own: what was freed and is kept by it for later.

/// Gives back to the system what is not in use. What lives for minutes lies between what lived for moments, so that the
/// allocator by itself gives nothing back, and takes more.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: may be called at any time, from any thread.
        unsafe { libc::malloc_trim(0) };
    }
}
