//! Too little to judge by is put together; what is judged says of which device, and how much was asked of it.

use super::*;

const SECOND: u64 = 1_000_000_000;
const EVERY: u64 = 5 * SECOND;

/// So many requests that took about so many milliseconds, of a device.
fn block(name: &str, count: u64, ms: u64) -> (String, BlockUse) {
    let bucket = observer_ebpf::wire::cpu::bucket(ms * 1_000_000) as u16;
    let waited = Histogram::of(&[(bucket, count)]);
    (name.to_owned(), BlockUse { waited, taken_ns: count * ms * 1_000_000, ..BlockUse::default() })
}

fn of(block: Vec<(String, BlockUse)>) -> HardwareUse {
    HardwareUse { block: Some(block.into_iter().collect()), ..HardwareUse::default() }
}

/// `signal value state device` of what was seen in an interval.
fn see(devices: &mut Devices, used: &HardwareUse) -> Vec<String> {
    let mut seen = Vec::new();
    let measured = Measured { interval_ns: EVERY, of: used, now: Time(1), at: Wall(1) };
    devices.signals(&measured, &mut |one: Observation| {
        let label = |label| one.label(label).unwrap_or("-").to_owned();
        let (state, device) = (label(Label::State), label(Label::Device));
        seen.push(format!("{} {:.0} {state} {device}", one.signal.name(), one.value));
    });
    seen
}

#[test]
fn few_requests_are_put_together() {
    let mut devices = Devices::default();
    assert_eq!(see(&mut devices, &of(vec![block("sda", 6, 500)])), [""; 0]);
    let seen = see(&mut devices, &of(vec![block("sda", 6, 500)]));
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen[0].starts_with("io.latency_p90_ms 5") && seen[0].ends_with(" calm sda"), "{seen:?}");
    assert!(seen[1].starts_with("io.latency_p99_ms 5"), "{seen:?}");
    // What was judged is not judged again.
    assert_eq!(see(&mut devices, &of(vec![block("sda", 6, 500)])), [""; 0]);
}

#[test]
fn one_request_in_a_while_says_nothing() {
    let mut devices = Devices::default();
    let mut seen = see(&mut devices, &of(vec![block("sda", 2, 900)]));
    for _ in 0..20 {
        seen.extend(see(&mut devices, &of(Vec::new())));
    }
    assert_eq!(seen, [""; 0]);
    assert!(devices.block.is_empty(), "it is not waited for for ever");
    // Three within the time are something.
    see(&mut devices, &of(vec![block("sda", 3, 900)]));
    let seen: Vec<_> = (0..5).flat_map(|_| see(&mut devices, &of(Vec::new()))).collect();
    assert_eq!(seen.len(), 2, "{seen:?}");
}

#[test]
fn a_device_that_is_asked_for_much_is_busy() {
    let mut devices = Devices::default();
    // 1,000 requests of 100 ms in 5 s: 20 at a time.
    let seen = see(&mut devices, &of(vec![block("sda", 1_000, 100), block("vda", 50, 1)]));
    assert!(seen[0].ends_with(" busy sda") && seen[2].ends_with(" calm vda"), "{seen:?}");
}

#[test]
fn a_device_that_does_nothing_is_stuck() {
    let stuck = ("vda".to_owned(), BlockUse { is_stuck: true, ..BlockUse::default() });
    let seen = see(&mut Devices::default(), &of(vec![stuck]));
    assert_eq!(seen, ["io.latency_p99_ms 5000 stuck vda", "io.latency_p90_ms 5000 stuck vda"]);
}

#[test]
fn what_is_not_counted_is_not_zero() {
    let mut devices = Devices::default();
    assert_eq!(see(&mut devices, &HardwareUse::default()), [""; 0]);
    let counted = HardwareUse {
        timed_out: Some(BTreeMap::from([("eth0".to_owned(), 2)])),
        checked: Some(BTreeMap::new()),
        ..HardwareUse::default()
    };
    let seen = see(&mut devices, &counted);
    assert_eq!(
        seen,
        ["net.tx_timeout_count 0 - -", "net.tx_timeout_count 2 - eth0", "node.machine_check_count 0 - -"]
    );
}

#[test]
fn a_component_is_judged_by_some_waits() {
    let mut devices = Devices::default();
    let bucket = observer_ebpf::wire::cpu::bucket(150_000_000) as u16;
    let of = |count| {
        let waited = Histogram::of(&[(bucket, count)]);
        let etcd = SyncUse { comm: "etcd".to_owned(), waited };
        HardwareUse { synced: Some(BTreeMap::from([(7, etcd)])), ..HardwareUse::default() }
    };
    assert_eq!(see(&mut devices, &of(2)), [""; 0]);
    let seen = see(&mut devices, &of(2));
    assert!(matches!(seen.as_slice(), [one] if one.starts_with("io.fsync_p99_ms 1")), "{seen:?}");
}
