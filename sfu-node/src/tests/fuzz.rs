//! How many inputs the tests take that read what others may have made up.

use proptest::prelude::ProptestConfig;

/// As many as `SFUMATO_FUZZ_CASES` says.
pub fn config() -> ProptestConfig {
    let asked = std::env::var("SFUMATO_FUZZ_CASES").ok();
    let cases = asked.and_then(|cases| cases.parse().ok()).unwrap_or(10_000);
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}
