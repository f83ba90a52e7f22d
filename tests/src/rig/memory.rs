//! Containers that do something wrong with their memory, or something that only looks like it; and what the observer
//! said of it.

use std::fs;

use serde_json::Value;

use super::{Bundle, Ran, Stage, program, watch::Seen, workload};

/// A container that obeys `words` (`workloads/faulter.c`).
pub fn faulter(stage: &Stage, words: &str) -> Bundle {
    let path = stage.path("faulter");
    if !path.exists() {
        workload::static_program("faulter", &stage.path(""));
    }
    let args: Vec<&str> = ["/bin/faulter"].into_iter().chain(words.split(' ')).collect();
    with_faulter(&path, &args)
}

/// A shell that is told about [`faulter`]: what runs it is not the first process of the container.
pub fn shell(stage: &Stage, script: &str) -> Bundle {
    faulter(stage, "");
    with_faulter(&stage.path("faulter"), &["/bin/sh", "-c", script])
}

fn with_faulter(path: &std::path::Path, args: &[&str]) -> Bundle {
    Bundle::new(args).file("bin/faulter", &fs::read(path).expect("the workload just built"))
}

/// Runs one by crun to its end, whatever that is; its id.
pub fn ends(stage: &Stage, name: &str, bundle: Bundle) -> (String, Ran) {
    let written = bundle.write(stage, &format!("{name}-{}", stage.id())).expect("bundle");
    let ran = stage.runtime(program("crun")).run(&written).expect("crun");
    (written.id, ran)
}

impl Seen {
    fn told_of(&self, probe: &str, id: &str) -> impl Iterator<Item = &Value> {
        let events = self.objects.iter().filter(|object| object["type"] == "event");
        events.filter(move |event| event["probe"] == probe && event["container"]["id"] == id)
    }

    /// All that was said of a container's memory, in order.
    pub fn memory_of(&self, id: &str) -> Vec<&Value> {
        self.told_of("memory", id).collect()
    }

    /// The one thing that was said of it.
    ///
    /// # Panics
    /// It was nothing, or more.
    pub fn fault_of(&self, id: &str) -> &Value {
        let all = self.memory_of(id);
        let [fault] = all[..] else {
            panic!("{} things were said of {id}: {all:#?}\n{}", all.len(), self.stderr)
        };
        fault
    }

    /// Nothing was said of a container but how it began and ended.
    ///
    /// # Panics
    /// Something was, or it was not followed to its end.
    pub fn is_quiet(&self, id: &str) {
        assert_eq!(self.memory_of(id), [&Value::Null; 0], "{id}");
        assert_eq!(self.exit_of(id)["reason"], Value::Null, "{id}");
    }

    /// How a container ended.
    ///
    /// # Panics
    /// It was not seen to end, or twice.
    pub fn exit_of(&self, id: &str) -> &Value {
        let all: Vec<_> = self.told_of("runtime", id).filter(|event| event["action"] == "exit").collect();
        let [exit] = all[..] else { panic!("{id} ended {} times: {}", all.len(), self.stdout) };
        &exit["container"]["exit"]
    }
}
