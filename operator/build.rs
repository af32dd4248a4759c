//! Linker options that make this program smaller. They stand here and not in RUSTFLAGS, with which every crate would be
//! built anew, mediasoup's C++ included.

use std::env;

/// Understood by LLD, which rustc comes with and uses on this target.
const LLD_OPTIONS: [&str; 2] = [
    // Functions that are the same byte for byte are kept once: generic code gives many. Rust promises no function an
    // address of its own; statics keep theirs.
    "-Wl,--icf=all",
    // Relocations in two bits instead of 24 bytes each. The loader of glibc 2.36 and later reads them.
    "-Wl,-z,pack-relative-relocs",
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if (target("ARCH"), target("OS"), target("ENV")) == ("x86_64".to_owned(), "linux".to_owned(), "gnu".to_owned()) {
        for option in LLD_OPTIONS {
            println!("cargo:rustc-link-arg-bins={option}");
        }
    }
}
