//! WHIP and WHEP sessions: what they hold, how they begin and how they end.

pub mod drain;
pub mod end_reason;
pub mod ice;
pub mod ice_report;
pub mod pending_offers;
pub mod session;
