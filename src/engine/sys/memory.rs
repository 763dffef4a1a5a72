//! The process's own memory.

/// Gives memory that the allocator keeps for later back to the kernel: for processes that rest long.
pub fn trim() {
    // SAFETY: malloc_trim(3) only touches the allocator's own free memory.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
