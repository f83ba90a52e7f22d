//! What is done to make a container, and to take it away: programs that its init executes, parts of its start, its
//! deletion.

use observer_ebpf::control::role;

use super::{
    Made, Model,
    lives::{Life, Who},
};
use crate::{
    input::Record,
    output::{ColdStart, Container, Event, Exec, Io, Process, Runtime, RuntimeAction, Since, What},
    probes::{self, hardware, process},
    time::{Time, Wall},
};

/// The phases of a settled start, each over the time that it took. The call that failed is to blame for the last phase
/// of its name: nothing was done of it after that.
pub(super) fn phases(start: &ColdStart) -> impl Iterator<Item = Event> {
    let failed = start.failure.as_ref().and_then(|failure| {
        Some((start.phases.iter().rposition(|phase| phase.name == failure.phase)?, failure.errno?))
    });
    start.phases.iter().enumerate().map(move |(at, phase)| {
        let began = Wall(start.time.0.saturating_add_unsigned(phase.start_ns));
        let what = Runtime {
            phase: Some(phase.name),
            errno: failed.filter(|(of, _)| *of == at).map(|(_, errno)| errno),
            ..Runtime::of(RuntimeAction::Phase)
        };
        Event {
            time: Wall(began.0.saturating_add_unsigned(phase.duration_ns)),
            began: Some(began),
            container: Some(start.container.clone()),
            process: phase.process.clone(),
            since: Since::Start,
            why: None,
            what: What::Runtime(what),
        }
    })
}

impl Model {
    /// What a container's init executes, or tries to.
    pub(super) fn follow_execs(&self, record: &Record, make: &mut impl FnMut(Made)) {
        let probes::Event::Process(event) = &record.event else { return };
        let (exe, errno) = match event {
            process::Event::Executed(exec) if exec.is_payload() => (&exec.filename, None),
            process::Event::ExecFailed { call, path, role } if role & (role::PAYLOAD | role::ROOTFS) != 0 => {
                (path, call.errno())
            }
            _ => return,
        };
        let what = Exec { exe: (!exe.is_empty()).then(|| exe.clone()), errno };
        let why = what.exe.is_none().then(|| "the name of the file could not be read".to_owned());
        self.tell(record.tgid, record.time, why, What::Exec(what), make);
    }

    /// A runtime was called to delete a container; told once of each. Of one that is forgotten its id is all that is
    /// known.
    pub(super) fn deleted(&mut self, record: &Record, id: &str, make: &mut impl FnMut(Made)) {
        let Some(lives) = &self.lives else { return };
        let of_it = lives.iter().filter(|life| self.id_of(life) == Some(id));
        let init = of_it.max_by_key(|life| life.ended.is_none()).map(|life| life.init);
        let what = What::Runtime(Runtime::of(RuntimeAction::Delete));
        let event = match init {
            None => Some(self.forgotten(id, record.time, what)),
            Some(init) => {
                let is_news = self
                    .lives
                    .as_mut()
                    .and_then(|lives| lives.get_mut(init))
                    .is_some_and(|life| !std::mem::replace(&mut life.deleted, true));
                is_news.then(|| self.event_of(init, record.time, what)).flatten()
            }
        };
        if let Some(mut event) = event {
            event.process = self.processes.get(record.tgid).map(|info| Process {
                pid: record.tgid,
                tid: record.tid,
                ppid: Some(info.ppid),
                comm: info.comm.clone(),
                exe: info.exe.clone(),
                start: Some(self.clock.wall(info.start)),
            });
            make(Made::Event(event));
        }
    }

    fn id_of<'a>(&'a self, life: &'a Life) -> Option<&'a str> {
        match &life.who {
            Who::Starting(start) => self.starts.get(start)?.container_id.as_deref(),
            Who::Known(container) => Some(&container.id),
        }
    }

    fn forgotten(&self, id: &str, time: Time, what: What) -> Box<Event> {
        Box::new(Event {
            time: self.clock.wall(time),
            began: None,
            container: Some(Container { id: id.to_owned(), ..Container::default() }),
            process: None,
            since: Since::Attach,
            why: Some("nothing but its id is known of it any more".to_owned()),
            what,
        })
    }

    /// Somebody waited long for a block device.
    pub(super) fn waited_for_device(&self, record: &Record, make: &mut impl FnMut(Made)) {
        let probes::Event::Hardware(hardware::Event::Slow(slow)) = &record.event else { return };
        if self.lives.is_none() {
            return;
        }
        let time = self.clock.wall(record.time);
        make(Made::Event(Box::new(Event {
            time,
            began: Some(Wall(time.0.saturating_sub_unsigned(slow.took_ns))),
            container: None,
            process: None,
            since: Since::Attach,
            why: Some("the device does not say for whom the request was".to_owned()),
            what: What::Io(Io(slow.clone())),
        })));
    }
}
