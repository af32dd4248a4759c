//! Whatever stands in Redis, reading it ends, and what is taken for a claim is within bounds.

use super::*;
use crate::names::rights::generation_after;
use crate::tests::fuzz;
use proptest::prelude::*;

fn read(value: &[u8]) -> Option<Claim> {
    assert!(
        excerpt(value).len() <= MAX_LOGGED * 10,
        "an escape takes at most ten characters"
    );
    let claim = fuzz::in_time(|| decode(value)).ok()?;
    assert!(claim.generation <= MAX_GENERATION);
    let after = generation_after(claim.generation);
    assert!(after >= claim.generation && after <= MAX_GENERATION);
    assert_eq!(decode(encode(&claim).as_bytes()), Ok(claim.clone()));
    Some(claim)
}

fn claim(generation: &str) -> Vec<u8> {
    format!(r#"{{"publication":"b","node":"sfu-2","incarnation":"0.b","generation":{generation}}}"#).into_bytes()
}

proptest! {
    #![proptest_config(fuzz::config())]

    #[test]
    fn arbitrary_values_are_no_claims_or_claims_within_bounds(value in prop::collection::vec(any::<u8>(), 0..1_000)) {
        read(&value);
    }

    #[test]
    fn a_claim_counts_with_every_generation_up_to_the_highest_and_with_none_above(generation in any::<u64>(), shift in 0..64_u32) {
        let generation = generation >> shift;
        let read = read(&claim(&generation.to_string()));
        prop_assert_eq!(read.map(|claim| claim.generation), (generation <= MAX_GENERATION).then_some(generation));
    }

    #[test]
    fn a_damaged_claim_is_no_claim_or_one_within_bounds(
        generation in "[0-9]{1,25}|-[0-9]{1,3}|[0-9]e[0-9]{1,3}|null|\\[{1,200}",
        damage in fuzz::damage(10),
    ) {
        read(&fuzz::damaged(claim(&generation), &damage));
    }
}
