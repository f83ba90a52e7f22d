//! The catalogue: what is known of problems, as data. Pure: files are embedded or handed in as text.

pub mod keywords;
