//! Which releases of C libraries mediasoup's worker is linked with. The libraries are asked: what a build prepared or
//! downloaded may differ from what it linked.

use std::ffi::{CStr, c_char, c_int};

/// `OPENSSL_VERSION` of `openssl/crypto.h`.
const OPENSSL_VERSION: c_int = 0;

#[allow(non_snake_case)] // OpenSSL's spelling
unsafe extern "C" {
    // `openssl/crypto.h`, `srtp.h` and `uv.h`. All three return text that is never freed.
    safe fn OpenSSL_version(what: c_int) -> *const c_char;
    safe fn srtp_get_version_string() -> *const c_char;
    safe fn uv_version_string() -> *const c_char;
}

/// Each library with its release, as it says it.
#[must_use]
pub fn versions() -> [(&'static str, String); 3] {
    [
        ("OpenSSL", OpenSSL_version(OPENSSL_VERSION)),
        ("libsrtp", srtp_get_version_string()),
        ("libuv", uv_version_string()),
    ]
    .map(|(library, text)| (library, said(library, text)))
}

fn said(library: &str, text: *const c_char) -> String {
    if text.is_null() {
        return "unknown".to_owned();
    }
    // SAFETY: not null, and by their headers a static string that ends with NUL.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    // Some begin with their name.
    let words = text.split_whitespace();
    let rest: Vec<&str> = words
        .skip_while(|word| word.to_ascii_lowercase().starts_with(&library.to_ascii_lowercase()))
        .collect();
    rest.join(" ")
}

#[cfg(test)]
mod tests {
    use super::versions;

    #[test]
    fn every_library_says_a_number() {
        for (library, version) in versions() {
            assert!(
                version.starts_with(|c: char| c.is_ascii_digit()),
                "{library}: {version}"
            );
        }
    }
}
