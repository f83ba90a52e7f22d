//! A program that the init of a container was to become.

/// `execve` by a container's init: how a payload begins, or why it did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// The file as the kernel was given it; `None`: it could not be read.
    pub exe: Option<String>,
    /// Of one that failed.
    pub errno: Option<i32>,
}
