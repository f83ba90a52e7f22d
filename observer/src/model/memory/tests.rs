//! Signals that look alike: traps, crashes, and what managed languages do all day.

use observer_ebpf::control::role;

use super::{
    fold::{REPEAT_NS, Telling},
    *,
};
use crate::{
    output::{FaultRegion, OomScope},
    probes::{
        Call,
        fault::{Action, OomVictim, Signal},
        memory,
    },
};

const INIT: u32 = 9;
const START: Time = Time(41);
/// A reservation of wasmtime's shape, and where the module's memory begins in it.
const SPACE: u64 = 0x7f3c_d000_0000;
const BASE: u64 = 0x7f3c_d200_0000;
const STACK: u64 = 0x7ffd_0000_0000;

fn record(tgid: u32, time: u64, event: Event) -> Record {
    Record { time: Time(time), tgid, tid: tgid, unreadable: false, late: false, event }
}

fn reserve(state: &mut State, tgid: u32, ret: i64, bytes: u64, hint: u64) -> Vec<Telling> {
    let event = memory::Event {
        call: Call { entered: Time(1), ret },
        hint: Some(hint),
        bytes,
        start: Some(START),
        prot: 0,
        flags: 0x4022,
        role: role::PAYLOAD,
        init: Some(INIT),
        comm: "engine".into(),
    };
    state.reserved(&record(tgid, 1, Event::Memory(event.clone())), &event)
}

/// A payload that has reserved a linear memory as wasmtime does.
fn engine() -> State {
    let mut state = State::default();
    assert!(reserve(&mut state, INIT, SPACE as i64, 4_362_076_160, 0).is_empty());
    state
}

fn segv(address: u64, action: Action) -> Signal {
    Signal {
        signal: SIGSEGV,
        code: 2,
        address: Some(address),
        stack: STACK,
        start: START,
        handled: 1,
        action,
        role: role::PAYLOAD,
        init: Some(INIT),
        linear_reach: None,
        comm: "engine".into(),
    }
}

fn take(state: &mut State, tgid: u32, time: u64, signal: &Signal) -> Vec<Memory> {
    let record = record(tgid, time, Event::Fault(fault::Event::Signal(signal.clone())));
    state.signal(&record, INIT, signal).into_iter().map(|telling| telling.what).collect()
}

fn only(told: Vec<Memory>) -> Memory {
    assert_eq!(told.len(), 1, "{told:?}");
    told.into_iter().next().unwrap()
}

#[test]
fn a_handled_fault_in_a_linear_memory_is_a_trap() {
    let told = only(take(&mut engine(), INIT, 2, &segv(BASE + 0x7fff_0000, Action::Handler)));
    assert_eq!((told.kind, told.seen, told.handled), (FaultKind::WasmTrap, Seen::Signal, Some(true)));
    assert_eq!((told.region, told.wasm_address), (Some(FaultRegion::LinearMemory), Some(0x7fff_0000)));
}

#[test]
fn a_handled_fault_elsewhere_is_nothing() {
    for address in [0xc, SPACE - 1, STACK - 8] {
        assert_eq!(take(&mut engine(), INIT, 2, &segv(address, Action::Handler)), []);
        assert_eq!(take(&mut State::default(), INIT, 2, &segv(address, Action::Handler)), []);
    }
}

#[test]
fn signals_of_a_java_program_are_nothing() {
    let mut java = State::default();
    let heap = 0x6_0000_0000;
    assert!(reserve(&mut java, INIT, heap, 8 << 30, heap as u64).is_empty());
    let division = Signal { signal: SIGFPE, code: 1, ..segv(0x7f00_0000, Action::Handler) };
    assert_eq!(take(&mut java, INIT, 2, &segv(heap as u64 + 8, Action::Handler)), []);
    assert_eq!(take(&mut java, INIT, 3, &division), []);
}

#[test]
fn signals_of_java_with_a_reservation_like_an_engine_s_are_nothing() {
    let division = Signal { signal: SIGFPE, code: 1, ..segv(0x7f00_0000, Action::Handler) };
    // ZGC's map, and heaps with `-XX:-UseCompressedOops`, as strace showed them with OpenJDK 17.
    for bytes in [8 << 30, 12 << 30] {
        let mut java = State::default();
        assert!(reserve(&mut java, INIT, 0x7f46_e400_0000, bytes, 0).is_empty());
        // At its start it finds out by a signal what the CPU saves.
        assert_eq!(take(&mut java, INIT, 2, &segv(0, Action::Handler)), []);
        assert_eq!(take(&mut java, INIT, 3, &division), []);
    }
}

#[test]
fn how_far_a_memory_had_grown_is_known_of_the_only_one() {
    let reaches = |bytes| Signal { linear_reach: Some(bytes), ..segv(BASE + 0x50_0000, Action::Handler) };
    let told = |state: &mut State, signal: &Signal| only(take(state, INIT, 2, signal)).linear_bytes;
    assert_eq!(told(&mut engine(), &reaches(BASE - SPACE + 0x1_0000)), Some(0x1_0000));
    assert_eq!(told(&mut engine(), &reaches(0x1000)), None, "it begins further on");
    assert_eq!(told(&mut engine(), &segv(BASE, Action::Handler)), None, "nobody says");
    let mut several = engine();
    reserve(&mut several, INIT, 1 << 40, 4_362_076_160, 0);
    assert_eq!(told(&mut several, &reaches(BASE - SPACE + 0x1_0000)), None, "whose is it?");
    let illegal = Signal { signal: SIGILL, ..reaches(BASE - SPACE + 0x1_0000) };
    assert_eq!(told(&mut engine(), &illegal), None, "no memory was touched");
}

#[test]
fn who_takes_other_signals_is_known_by_process() {
    let mut state = engine();
    assert_eq!(take(&mut state, 10, 2, &segv(8, Action::Handler)), [], "a language beside the engine");
    let illegal = Signal { signal: SIGILL, ..segv(0x7fdd_8e1c_d004, Action::Handler) };
    assert_eq!(take(&mut state, INIT, 3, &illegal).len(), 1);
}

#[test]
fn an_illegal_instruction_is_a_trap_only_of_an_engine() {
    let illegal = Signal { signal: SIGILL, ..segv(0x7fdd_8e1c_d004, Action::Handler) };
    assert_eq!(take(&mut State::default(), INIT, 2, &illegal), []);
    let told = only(take(&mut engine(), INIT, 2, &illegal));
    assert_eq!((told.kind, told.wasm_address), (FaultKind::WasmTrap, None));
    let sent = Signal { code: 0, address: None, ..illegal.clone() };
    assert_eq!(take(&mut engine(), INIT, 2, &sent), [], "somebody sent it");
    assert_eq!(take(&mut engine(), 10, 2, &illegal), [], "another process than the engine");
    let mut v8 = State::default();
    reserve(&mut v8, INIT, 0x7f49_b7ff_1000, 10_737_479_680, 0);
    assert_eq!(take(&mut v8, INIT, 2, &illegal), [], "V8 has no use for it");
}

#[test]
fn a_copy_of_an_engine_has_its_memories() {
    let told = only(take(&mut engine(), 10, 2, &segv(BASE, Action::Handler)));
    assert_eq!((told.kind, told.wasm_address), (FaultKind::WasmTrap, Some(0)));
    let mut other = engine();
    reserve(&mut other, 10, 1 << 40, 4_362_076_160, 0);
    assert_eq!(take(&mut other, 10, 2, &segv(BASE, Action::Handler)), [], "it has memories of its own");
}

#[test]
fn a_pid_that_is_used_again_has_no_memories() {
    let later = Signal { start: Time(77), signal: SIGILL, ..segv(BASE, Action::Handler) };
    assert_eq!(take(&mut engine(), INIT, 2, &later), []);
}

#[test]
fn an_unhandled_fault_is_one_wherever_it_is() {
    let region = |address| only(take(&mut engine(), INIT, 2, &segv(address, Action::Default))).region;
    assert_eq!(region(0), Some(FaultRegion::Null));
    assert_eq!(region(STACK - 4096), Some(FaultRegion::Stack));
    assert_eq!(region(0x1234_5678_9000), Some(FaultRegion::Other));
    assert_eq!(region(BASE), Some(FaultRegion::LinearMemory));
    assert_eq!(region(SPACE), Some(FaultRegion::Guard));
    let aborted = Signal { signal: SIGABRT, code: -6, address: None, ..segv(0, Action::Default) };
    let told = only(take(&mut State::default(), INIT, 2, &aborted));
    assert_eq!((told.kind, told.handled, told.address), (FaultKind::Fault, Some(false), None));
}

#[test]
fn a_trap_that_comes_again_is_told_from_time_to_time() {
    let mut state = engine();
    let mut told = Vec::new();
    let trap = |handled| Signal { handled, ..segv(BASE, Action::Handler) };
    for n in 1..=32 {
        told.extend(take(&mut state, INIT, n, &trap(n)));
    }
    assert_eq!(told.iter().map(|one| one.count).collect::<Vec<_>>(), [1]);
    assert_eq!(state.folds.due(Some(Time(REPEAT_NS))).len(), 0, "not yet");
    let due = state.folds.due(Some(Time(1 + REPEAT_NS)));
    assert_eq!(due.iter().map(|one| (one.what.count, one.began)).collect::<Vec<_>>(), [(31, Some(Time(2)))]);
    // The kernel side reports some and counts all.
    assert_eq!(take(&mut state, INIT, 2 + 2 * REPEAT_NS, &trap(500))[0].count, 500 - 32);
    assert_eq!(state.counted(507).len(), 0);
    assert_eq!(state.folds.due(None)[0].what.count, 7, "at its end");
    assert!(state.folds.due(None).is_empty());
}

#[test]
fn what_was_only_counted_is_no_trap_where_other_signals_are_handled() {
    let mut state = engine();
    take(&mut state, INIT, 1, &segv(8, Action::Handler));
    let later = Signal { handled: 500, ..segv(BASE, Action::Handler) };
    assert_eq!(only(take(&mut state, INIT, 2, &later)).count, 1);
    assert!(state.counted(1000).is_empty());
}

#[test]
fn many_kinds_of_faults_do_not_pile_up() {
    let mut state = State::default();
    let told: usize = (0..500_u64)
        .map(|n| Signal { comm: format!("worker-{n}"), ..segv(0, Action::Default) })
        .map(|signal| take(&mut state, 10, 5, &signal).len())
        .sum();
    assert_eq!(told, 500);
}

#[test]
fn address_space_that_is_refused_is_told_with_what_was_asked() {
    let mut state = State::default();
    let told = reserve(&mut state, INIT, -12, 12 << 30, 0);
    let what = only(told.into_iter().map(|telling| telling.what).collect());
    assert_eq!((what.kind, what.errno, what.asked_bytes), (FaultKind::MapFailed, Some(12), Some(12 << 30)));
    assert!(reserve(&mut state, INIT, -22, 12 << 30, 0).is_empty(), "a wrong argument is no lack");
}

fn kill(state: &mut State, victim: u32, reached: Option<(u64, u64)>) -> Memory {
    let (rss_bytes, start) = (Some(4096), Some(START));
    let victim = OomVictim {
        victim,
        role: role::PAYLOAD,
        init: Some(INIT),
        rss_bytes,
        reached,
        start,
        comm: "hog".into(),
    };
    let record = record(1, 2, Event::Fault(fault::Event::OomKill(victim.clone())));
    only(state.killed(&record, INIT, &victim).into_iter().map(|telling| telling.what).collect())
}

#[test]
fn a_kill_is_of_a_limit_only_if_one_was_used_up() {
    let told = kill(&mut State::default(), INIT, Some((100, 101)));
    assert_eq!((told.scope, told.limit_bytes), (Some(OomScope::Memcg), Some(101)));
    let told = kill(&mut State::default(), INIT, None);
    assert_eq!((told.scope, told.limit_bytes), (Some(OomScope::Unknown), None));
}

fn exit(code: i32, signal: Option<i32>) -> Exit {
    Exit { code: Some(code), signal, reason: None }
}

#[test]
fn an_end_is_tied_to_what_led_to_it() {
    let killed = exit(137, Some(SIGKILL));
    let mut of_init = State::default();
    kill(&mut of_init, INIT, None);
    assert_eq!(of_init.reason_of(&killed).as_deref(), Some("OOMKilled"));
    assert_eq!(of_init.reason_of(&exit(0, None)).as_deref(), None);
    let mut of_child = State::default();
    kill(&mut of_child, 10, None);
    assert_eq!(of_child.reason_of(&killed).as_deref(), Some("a process of it was OOM-killed"));
    assert_eq!(of_child.reason_of(&exit(1, None)).as_deref(), None);
    let mut ignored = State::default();
    ignored.term_ignored = true;
    assert_eq!(ignored.reason_of(&killed).as_deref(), Some("SIGTERM was ignored, then killed"));
    assert_eq!(State::default().reason_of(&killed).as_deref(), None);
}

#[test]
fn an_engine_tells_what_no_signal_shows() {
    let tell = |state: &mut State, code| {
        let start = START;
        let event = fault::Event::EngineResult { code, role: 4, init: Some(INIT), start, comm: "e".into() };
        state.engine_told(&record(INIT, 5, Event::Fault(event)), start, "e", code)
    };
    let mut interpreter = State::default();
    let told = tell(&mut interpreter, 0x408);
    let [Telling { what, .. }] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((what.kind, what.seen, what.engine_code), (FaultKind::WasmTrap, Seen::Engine, Some(0x408)));
    let reason = interpreter.reason_of(&exit(1, None));
    assert_eq!(reason.as_deref(), Some("WasmEdge: out of bounds memory access (0x408)"));
    let mut unfit = State::default();
    assert!(tell(&mut unfit, 0x302).is_empty(), "it never ran");
    assert_eq!(unfit.reason_of(&exit(1, None)).as_deref(), Some("WasmEdge: unknown import (0x302)"));
    let mut compiled = engine();
    take(&mut compiled, INIT, 2, &segv(BASE, Action::Handler));
    assert!(tell(&mut compiled, 0x408).is_empty(), "its signal has told it");
}
