//! Secrets in files: the admin token and certificates, read again when they change.

mod followed_file;
mod tls;
mod token_file;
mod token_source;
mod versions;

pub use followed_file::*;
pub use tls::*;
pub use token_file::TokenFile;
pub use token_source::TokenSource;
pub use versions::{Rules, Versions};
