//! Asks for a name over and over: a program of its own, compiled with optimisation by the `dns` bench. Answers itself,
//! on port 53 of a loopback address that nobody else has. For each line on stdin, `COUNT` or `COUNT PER_SECOND`, it
//! prints the nanoseconds that a look-up took: their median, then their 99th percentile.

use std::{
    io::{self, BufRead as _},
    net::UdpSocket,
    thread,
    time::{Duration, Instant},
};

const SERVER: &str = "127.53.53.53:53";

fn main() -> io::Result<()> {
    let server = UdpSocket::bind(SERVER)?;
    thread::spawn(move || answer(&server));
    for line in io::stdin().lock().lines() {
        let line = line?;
        let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        let (count, rate) = (numbers.first().copied().unwrap_or(1), numbers.get(1).copied());
        let mut took = ask(count, rate)?;
        took.sort_unstable();
        println!("{} {}", took[took.len() / 2], took[took.len() * 99 / 100]);
    }
    Ok(())
}

/// The question comes back as an answer without any record.
fn answer(server: &UdpSocket) {
    let mut message = [0; 512];
    while let Ok((len, from)) = server.recv_from(&mut message) {
        message[2] |= 0x80;
        let _ = server.send_to(&message[..len], from);
    }
}

/// Each look-up with a socket of its own, as resolvers do.
fn ask(count: u64, rate: Option<u64>) -> io::Result<Vec<u64>> {
    let mut took = Vec::with_capacity(count as usize);
    let begun = Instant::now();
    for n in 0..count {
        if let Some(rate) = rate {
            let due = begun + Duration::from_nanos(n * 1_000_000_000 / rate);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let mut question = Vec::from([0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        question[..2].copy_from_slice(&(n as u16).to_be_bytes());
        let name = format!("name-{}", n % 1_000);
        question.push(name.len() as u8);
        question.extend_from_slice(name.as_bytes());
        question.extend_from_slice(b"\x04test\0\0\x01\0\x01");
        let asked = Instant::now();
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(SERVER)?;
        socket.send(&question)?;
        socket.recv(&mut [0; 512])?;
        took.push(asked.elapsed().as_nanos() as u64);
    }
    Ok(took)
}
