use observer::{input::Input, source::live::*, time::Time};
use observer_ebpf::{Family, control::{COMM_LEN, role}};
fn name(s: &str) -> [u8; COMM_LEN] { let mut n = [0; COMM_LEN]; n[..s.len()].copy_from_slice(s.as_bytes()); n }
fn now() -> Time { let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime); Time(t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64) }
fn main() {
    let names = [("crun", role::RUNTIME), ("runc", role::RUNTIME), ("youki", role::RUNTIME), ("containerd", role::ENGINE), ("containerd-shim", role::SHIM), ("conmon", role::SHIM), ("podman", role::ENGINE)].map(|(n, r)| (name(n), r));
    let begin = now();
    let mut live = Live::load(&Options { families: Family::ALL, btf: "/sys/kernel/btf/vmlinux".as_ref(), tracefs: Tracefs::find_or_mount(), names: &names }).unwrap();
    eprintln!("attached in {} us", now().since(begin) / 1000);
    for plan in live.plans() { for h in &plan.hooks { if h.rung.is_none() || h.why.is_some() || std::env::var("V").is_ok() { eprintln!("{:?} {:?}", plan.family, h); } } }
    let mut child = std::env::args().nth(1).map(|_| std::process::Command::new(std::env::args().nth(1).unwrap()).args(std::env::args().skip(2)).spawn().unwrap());
    let mut t0 = 0;
    let mut print = |i: Input| if let Input::Record(r) = i { if t0 == 0 { t0 = r.time.0; } eprintln!("{:>9.3} {:>6} {} {:?}", (r.time.0 - t0) as f64 / 1e6, r.tgid, if r.unreadable {"!"} else {""}, r.event) } else if let Input::Lost{..} = i { eprintln!("{i:?}") };
    loop {
        std::thread::sleep(std::time::Duration::from_millis(5));
        live.poll(now(), |_| {}, &mut print);
        if let Some(c) = &mut child { if c.try_wait().unwrap().is_some() { std::thread::sleep(std::time::Duration::from_millis(200)); live.stop(now(), |_| {}, &mut print); break; } }
    }
    let b = now(); live.detach(); eprintln!("detached in {} us", now().since(b) / 1000);
}
