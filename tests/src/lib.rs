//! What the tests of the whole program share. Refuses to know the inside of `observer`: everything here drives
//! the binary that people run.

pub mod vm;
