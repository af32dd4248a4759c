//! What the admin Secret holds.

use k8s_openapi::ByteString;
use std::collections::BTreeMap;

/// Its keys with their values.
pub type Data = BTreeMap<String, ByteString>;

/// One key of the Secret as text.
#[must_use]
pub fn text(data: &Data, key: &str) -> Option<String> {
    let value = std::str::from_utf8(&data.get(key)?.0).ok()?;
    Some(value.trim().to_owned())
}
