//! Host names in a static binary.

/// Makes host name look-ups use only what is compiled in: `/etc/hosts` and DNS.
///
/// glibc's `getaddrinfo` reads `/etc/nsswitch.conf` and loads a shared object for each service named there, even in
/// a static program; with another glibc version on the host that fails or crashes. Since 2.34 `files` and `dns` are
/// part of libc itself. Must run before any other thread exists.
pub fn use_built_in_services() {
    #[cfg(target_env = "gnu")]
    {
        unsafe extern "C" {
            fn __nss_configure_lookup(database: *const libc::c_char, services: *const libc::c_char) -> libc::c_int;
        }
        // SAFETY: both arguments are NUL-terminated and live for ever; the function copies what it needs.
        unsafe {
            __nss_configure_lookup(c"hosts".as_ptr(), c"files dns".as_ptr());
        }
    }
}
