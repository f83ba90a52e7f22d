//! What becomes of a container: made, started, ended, taken away.

use super::{PhaseName, names};

/// What a container runtime did with a container.
#[derive(Clone, Debug, PartialEq)]
pub struct Runtime {
    pub action: RuntimeAction,
    /// Which part of a start (`phase`).
    pub phase: Option<PhaseName>,
    pub errno: Option<i32>,
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
}

names! {
    RuntimeAction {
        /// Its init has its own root file system.
        Create = "create",
        /// Its payload began.
        Start = "start",
        /// Its init ended.
        Exit = "exit",
        /// Somebody outside sent its init a signal that engines stop containers with.
        Stop = "stop",
        /// Its runtime was called to delete it.
        Delete = "delete",
        /// A part of its start, told once that is settled.
        Phase = "phase",
    }
}

impl Runtime {
    /// Of which nothing but that it happened is to be said.
    pub const fn of(action: RuntimeAction) -> Runtime {
        Runtime { action, phase: None, errno: None, exit_code: None, signal: None }
    }
}
