//! Small servers on loopback that answer badly on purpose, or not at all.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    sync::mpsc,
    thread,
};

/// A server that gives its connections the answers in turn, the last one for ever, whatever they asked. It
/// sends down the channel how many requests it has seen.
pub fn answering(answers: Vec<Vec<u8>>) -> (u16, mpsc::Receiver<usize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let port = listener.local_addr().expect("a bound socket has an address").port();
    let (seen, requests) = mpsc::channel();
    thread::spawn(move || {
        for (count, stream) in listener.incoming().enumerate() {
            let answer = &answers[count.min(answers.len() - 1)];
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 65536];
            // What it was asked does not matter, nor whether it listens.
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer);
            let _ = seen.send(count + 1);
        }
    });
    (port, requests)
}

/// A server that takes connections and never says a word.
pub fn silent() -> (u16, TcpListener) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    (listener.local_addr().expect("a bound socket has an address").port(), listener)
}

/// A port on which nobody listens: below those that are given out, and its service is long forgotten.
pub const NOBODY: u16 = 1;
