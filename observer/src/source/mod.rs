//! Where inputs come from. Everything here touches the world; nothing here decides anything about it.

pub mod facts;
pub mod live;
pub mod otlp;
