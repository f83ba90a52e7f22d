//! A network of ours that the observer takes for the node's: in its eyes, and nobody else's, it lies over that of init.

use std::{fs, process::Command};

use rustix::process::Signal;

use super::{
    Stage,
    net::{Cable, Component},
    program,
    stdio::until,
};

/// Who is in that network.
pub struct Node(Component);

impl Node {
    /// The network at an end of a cable.
    ///
    /// # Panics
    /// Nobody can be there.
    pub fn at(cable: &Cable, end: &str, stage: &Stage) -> Node {
        let node = cable.runs_at(end, stage, &program("sleep"), &["1000"]);
        let network = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        until("the node's network", || (network(node.pid()) != network(1)).then_some(()));
        Node(node)
    }

    /// Shows it to the command that this one is given.
    pub fn shown(&self) -> Command {
        let over = "mount --make-rprivate / && mount --bind /proc/$0/net /proc/1/net && exec \"$@\"";
        let mut command = Command::new(program("unshare"));
        command.args(["-m", "sh", "-c", over, &self.0.pid().to_string()]);
        command
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.running.signal(Signal::KILL);
    }
}
