//! CPU for each packet that is sealed and handed to the kernel over loopback, with and without GSO.
//!
//! Prints a line of JSON for each SRTP profile and stage. Loss must be 0, else the kernel was spared work.
//! `cargo run --release -p sfu --features measuring --example seal_cost [receivers] [packets a frame] [frames]`

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sfu::measure::{Fan, Stage, profiles, thread_cpu};

const PAYLOAD_BYTES: usize = 1176;

/// Between frames, so that the receivers keep up.
const PAUSE: Duration = Duration::from_millis(5);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |default: u64| arguments.next().map_or(Ok(default), |argument| argument.parse::<u64>());
    let (receivers, packets, frames) = (next(50)?, next(4)? as usize, next(400)?);
    let sockets: Vec<UdpSocket> = (0..receivers)
        .map(|_| UdpSocket::bind(("127.0.0.1", 0)))
        .collect::<Result<_, _>>()?;
    let addresses: Vec<SocketAddr> = sockets.iter().map(UdpSocket::local_addr).collect::<Result<_, _>>()?;
    let (received, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let reader = {
        let (received, over) = (received.clone(), over.clone());
        std::thread::spawn(move || read(&sockets, &received, &over))
    };
    for profile in profiles() {
        for stage in [Stage::Seal, Stage::SendApart, Stage::SendJoined] {
            let mut fan = Fan::new(profile, stage, &addresses)?;
            let payload = [7; PAYLOAD_BYTES];
            // Buffers grow and caches fill.
            for _ in 0..20 {
                fan.frame(packets, &payload);
                std::thread::sleep(PAUSE);
            }
            let (before, cpu, start) = (received.load(Ordering::Relaxed), thread_cpu()?, Instant::now());
            let mut sent = 0;
            for _ in 0..frames {
                sent += fan.frame(packets, &payload);
                std::thread::sleep(PAUSE);
            }
            let (cpu, took) = (thread_cpu()? - cpu, start.elapsed());
            std::thread::sleep(20 * PAUSE);
            let arrived = received.load(Ordering::Relaxed) - before;
            let lost = if stage == Stage::Seal { 0 } else { sent - arrived };
            println!(
                "{{\"profile\":\"{profile}\",\"stage\":\"{stage:?}\",\"receivers\":{receivers},\"packets_per_frame\":{packets},\
                 \"packets\":{sent},\"lost\":{lost},\"seconds\":{:.2},\"cpu_us_per_packet\":{:.3}}}",
                took.as_secs_f64(),
                cpu.as_secs_f64() * 1e6 / sent.max(1) as f64,
            );
        }
    }
    over.store(true, Ordering::Relaxed);
    reader.join().map_err(|_| "the reader panicked")??;
    Ok(())
}

/// Empties the sockets again and again.
fn read(sockets: &[UdpSocket], received: &AtomicU64, over: &AtomicBool) -> io::Result<()> {
    for socket in sockets {
        socket.set_nonblocking(true)?;
    }
    let mut buffer = [0; 2048];
    while !over.load(Ordering::Relaxed) {
        let mut count = 0;
        for socket in sockets {
            loop {
                match socket.recv(&mut buffer) {
                    Ok(_) => count += 1,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        received.fetch_add(count, Ordering::Relaxed);
        if count == 0 {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    Ok(())
}
