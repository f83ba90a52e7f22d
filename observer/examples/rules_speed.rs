//! How fast rules judge what a recording holds, and what is left of containers that have come and gone, in CPU time of
//! one thread: `cargo run --release --no-default-features --features record --example rules_speed -- RECORDING`.

use std::{fs, path::Path, process::ExitCode};

use observer::{
    input::{Fact, FactKind, Input},
    model::kube::KubeState,
    output::{Container, Output},
    pipeline::{Pipeline, Settings},
    record::RecordingReader,
    rules::{Engine, Rules, catalogue::Entry},
    signals::Signals,
    time::{ClockOffset, Time},
};

const TICK_NS: u64 = 20_000_000;
/// Containers that come and go; what is held after the first of them is what is compared with.
const CONTAINERS: u64 = 10_000;
const FIRST: u64 = 1_000;
/// One comes so often at most: the first of them then take longer than any rule looks back, so that what is held is
/// what is not forgotten.
const EVERY_NS: u64 = 4_000_000_000;
/// Events by which speed is measured.
const EVENTS: u64 = 200_000;

type Failure = Box<dyn std::error::Error>;

/// What the model makes of a recording, and when.
struct Told {
    outputs: Vec<(Time, Output)>,
    clock: ClockOffset,
    began: Time,
    lasted_ns: u64,
}

fn told(path: &Path) -> Result<Told, Failure> {
    let mut reader = RecordingReader::open(path)?;
    let settings = reader.header().header.options.get("settings").ok_or("no settings")?;
    let settings = Settings { follow: true, catalogue: Vec::new(), ..serde_json::from_str(settings)? };
    let began = reader.header().begins;
    let mut told = Told { outputs: Vec::new(), clock: ClockOffset::default(), began, lasted_ns: 0 };
    let mut pipeline = Pipeline::new(settings);
    for input in &mut reader {
        let now = input.time();
        told.lasted_ns = told.lasted_ns.max(now.since(began));
        if let Input::Fact(Fact { what: FactKind::Clock(clock), .. }) = &input {
            told.clock = *clock;
        }
        pipeline.step(&input, |output| {
            if matches!(output, Output::Event(_) | Output::ColdStart(_)) {
                told.outputs.push((now, output));
            }
        });
    }
    Ok(told)
}

fn rules() -> Result<Rules, Failure> {
    let mut entries = Vec::new();
    for item in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/catalogue"))? {
        let path = item?.path();
        let is_entry = path.extension().is_some_and(|extension| extension == "toml");
        if is_entry && path.file_stem().is_some_and(|stem| stem != "keywords") {
            entries.push(toml::from_str::<Entry>(&fs::read_to_string(&path)?)?);
        }
    }
    Rules::compile(entries, None).map_err(|problems| format!("{problems:?}").into())
}

/// CPU time of this thread, nanoseconds.
fn cpu() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn resident() -> Result<u64, Failure> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    Ok(statm.split(' ').nth(1).ok_or("statm")?.parse::<u64>()? * rustix::param::page_size() as u64)
}

/// The same about other containers, which no other repetition has.
fn of_another(output: &Output, number: u64) -> Output {
    let another = |container: &mut Container| {
        container.id = format!("{number:08x}{}", container.id);
        for name in [&mut container.name, &mut container.pod].into_iter().flatten() {
            *name = format!("{name}-{number}");
        }
        if let Some(instance) = &mut container.instance {
            instance.start = Time(instance.start.0 + number);
        }
    };
    let mut output = output.clone();
    match &mut output {
        Output::Event(event) => event.container.iter_mut().for_each(another),
        Output::ColdStart(start) => another(&mut start.container),
        _ => {}
    }
    output
}

/// What judges.
struct Judge {
    signals: Signals,
    engine: Engine,
    clock: ClockOffset,
    told: u64,
    cpu_ns: u64,
    ticked: Time,
}

impl Judge {
    fn new(rules: Rules, told: &Told) -> Judge {
        let mut engine = Engine::new(rules);
        engine.began(told.began);
        let (signals, clock) = (Signals::default(), told.clock);
        Judge { signals, engine, clock, told: 0, cpu_ns: 0, ticked: told.began }
    }

    /// Judges outputs at their times, and lets the time between them pass.
    fn take(&mut self, outputs: &[(Time, Output)], tick_ns: u64) {
        let before = cpu();
        for (now, output) in outputs {
            while now.since(self.ticked) >= tick_ns {
                let tick = self.ticked.plus(tick_ns);
                self.tick(tick);
            }
            let (engine, clock, told) = (&mut self.engine, self.clock, &mut self.told);
            let mut say = |_| *told += 1;
            match output {
                Output::Event(event) => {
                    self.signals.of_event(event, &KubeState::default(), *now, |seen| {
                        engine.observe(&seen, clock, &mut say);
                    });
                }
                Output::ColdStart(start) => {
                    self.signals.of_start(start, *now, |seen| engine.observe(&seen, clock, &mut say));
                }
                _ => {}
            }
        }
        self.cpu_ns += cpu() - before;
    }

    fn tick(&mut self, now: Time) {
        let (engine, clock, told) = (&mut self.engine, self.clock, &mut self.told);
        let mut say = |_| *told += 1;
        self.signals.tick(now, clock.wall(now), |seen| engine.observe(&seen, clock, &mut say));
        engine.tick(now, clock, &mut say);
        self.ticked = now;
    }
}

/// Events at a rate, each round of them about other containers: events that are judged in a second of CPU time.
fn speed(told: &Told, per_second: u64) -> Result<(f64, u64), Failure> {
    let mut judge = Judge::new(rules()?, told);
    let rounds = EVENTS.div_ceil(told.outputs.len() as u64);
    let mut number = 0;
    for round in 0..rounds {
        let batch: Vec<(Time, Output)> = told
            .outputs
            .iter()
            .map(|(_, output)| {
                number += 1;
                (told.began.plus(number * 1_000_000_000 / per_second), of_another(output, round))
            })
            .collect();
        judge.take(&batch, TICK_NS);
    }
    Ok((number as f64 * 1e9 / judge.cpu_ns as f64, judge.told))
}

/// Containers one after the other, each for as long as it was there.
fn come_and_go(told: &Told) -> Result<(u64, u64), Failure> {
    let mut judge = Judge::new(rules()?, told);
    let containers = told.outputs.iter().filter_map(|(_, output)| match output {
        Output::Event(event) => event.container.as_ref().map(|container| &container.id),
        Output::ColdStart(start) => Some(&start.container.id),
        _ => None,
    });
    let each = containers.collect::<std::collections::BTreeSet<_>>().len().max(1) as u64;
    let mut first = 0;
    for round in 0..CONTAINERS.div_ceil(each) {
        if round == FIRST.div_ceil(each) {
            first = resident()?;
        }
        let later = round * told.lasted_ns.max(each * EVERY_NS);
        let batch: Vec<(Time, Output)> =
            told.outputs.iter().map(|(time, output)| (time.plus(later), of_another(output, round))).collect();
        judge.take(&batch, 10 * TICK_NS);
    }
    Ok((first, resident()?))
}

fn run() -> Result<(), Failure> {
    if let Some(path) = std::env::args().nth(1) {
        let told = told(Path::new(&path))?;
        let name = Path::new(&path).file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        if told.outputs.is_empty() {
            return Err(format!("{path} holds nothing to judge").into());
        }
        // First, and of one recording in a process: what others once needed is given back to nobody.
        let (first, all) = come_and_go(&told)?;
        println!("memory {name} {first} {all}");
        for per_second in [1_000, 100_000] {
            let (speed, said) = speed(&told, per_second)?;
            println!("speed {name} {per_second} {speed:.0} {said}");
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
