//! What the tests share.

pub mod starts;
