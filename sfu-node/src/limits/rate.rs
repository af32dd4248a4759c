//! Requests a second of one client address.

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{NotUntil, Quota, RateLimiter};
use sfumato_admin_api::server::client_address::ClientKey;
use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU32;
use std::time::Duration;

/// Most addresses that are remembered at once. An address is forgotten when it has its whole allowance again, which is two
/// seconds after its last request at most.
const MAX_ADDRESSES: usize = 100_000;
/// Beyond that, addresses have an allowance together, by a hash of them: those of a flood use up their own and few others.
const CROWDS: u64 = 4_096;

type Buckets<K, C> = RateLimiter<K, HashMapStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// A token bucket (GCRA) for each client.
pub struct RequestRate<C: Clock = DefaultClock> {
    limiter: Buckets<ClientKey, C>,
    crowds: Buckets<u64, C>,
    hashes: RandomState,
    clock: C,
}

impl<C: Clock + Clone> RequestRate<C> {
    /// `rate` requests a second, and twice as many at once.
    pub fn new(rate: u32, clock: C) -> Self {
        let rate = NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(rate).allow_burst(rate.saturating_mul(NonZeroU32::MIN.saturating_add(1)));
        Self {
            limiter: RateLimiter::new(quota, HashMapStateStore::default(), clock.clone()),
            crowds: RateLimiter::new(quota, HashMapStateStore::default(), clock.clone()),
            // Drawn for each process: nobody can choose addresses that meet a certain client's.
            hashes: RandomState::new(),
            clock,
        }
    }

    /// Counts a request; the error is how long the client should wait.
    pub fn admit(&self, client: ClientKey) -> Result<(), Duration> {
        if self.limiter.len() >= MAX_ADDRESSES {
            self.forget();
        }
        let admitted = if self.limiter.len() < MAX_ADDRESSES {
            self.limiter.check_key(&client)
        } else {
            self.crowds.check_key(&(self.hashes.hash_one(client) % CROWDS))
        };
        admitted.map_err(|until: NotUntil<C::Instant>| until.wait_time_from(self.clock.now()))
    }

    /// Forgets clients that have their whole allowance again.
    pub fn forget(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }

    /// Clients that are remembered.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.limiter.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use std::net::IpAddr;

    fn key(text: &str) -> ClientKey {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn twice_the_rate_may_come_at_once_and_then_the_rate() {
        let clock = FakeRelativeClock::default();
        let rate = RequestRate::new(10, clock.clone());
        let client = key("198.51.100.1");
        assert_eq!((0..50).filter(|_| rate.admit(client).is_ok()).count(), 20);
        let wait = rate.admit(client).unwrap_err();
        assert!(wait <= Duration::from_millis(100), "{wait:?}");
        clock.advance(Duration::from_secs(1));
        assert_eq!((0..50).filter(|_| rate.admit(client).is_ok()).count(), 10);
    }

    #[test]
    fn one_client_does_not_use_up_what_another_may() {
        let rate = RequestRate::new(1, FakeRelativeClock::default());
        while rate.admit(key("198.51.100.1")).is_ok() {}
        assert!(rate.admit(key("198.51.100.2")).is_ok());
    }

    #[test]
    fn a_client_is_forgotten_once_it_has_its_whole_allowance_again() {
        let clock = FakeRelativeClock::default();
        let rate = RequestRate::new(10, clock.clone());
        for i in 0..100 {
            rate.admit(key(&format!("198.51.100.{i}"))).unwrap();
        }
        rate.forget();
        assert_eq!(rate.len(), 100);
        clock.advance(Duration::from_secs(3));
        rate.forget();
        assert_eq!(rate.len(), 0);
    }

    /// Remembers as many addresses as may be.
    fn flooded(clock: &FakeRelativeClock) -> RequestRate<FakeRelativeClock> {
        let rate = RequestRate::new(1, clock.clone());
        for i in 0..u32::try_from(MAX_ADDRESSES).unwrap() {
            rate.admit(address(i)).unwrap();
        }
        rate
    }

    fn address(i: u32) -> ClientKey {
        IpAddr::from(i.to_be_bytes()).into()
    }

    #[test]
    fn a_flood_of_addresses_is_bounded_and_passes() {
        let clock = FakeRelativeClock::default();
        let rate = flooded(&clock);
        let further = |i: u32| address(u32::MAX - i);
        let admitted = (0..100_000).filter(|&i| rate.admit(further(i)).is_ok()).count();
        assert!(admitted <= 2 * usize::try_from(CROWDS).unwrap(), "{admitted}");
        assert_eq!(rate.len(), MAX_ADDRESSES);
        clock.advance(Duration::from_secs(3));
        assert!(rate.admit(further(0)).is_ok());
        assert!(rate.len() <= 1, "{}", rate.len());
    }

    #[test]
    fn who_comes_during_a_flood_of_addresses_gets_in() {
        let clock = FakeRelativeClock::default();
        let rate = flooded(&clock);
        // A tenth of what all crowds may have.
        for i in 0..400 {
            let _ = rate.admit(address(u32::MAX - i));
        }
        let newcomers = (0..100u32)
            .filter(|&i| rate.admit(address(3_000_000_000 + i)).is_ok())
            .count();
        assert!(newcomers >= 90, "{newcomers}");
    }
}
