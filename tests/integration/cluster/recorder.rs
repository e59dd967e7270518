//! Somebody on the line: passes on what nodes send to one of them, and keeps it, to say it again.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often threads look whether it is over.
const PAUSE: Duration = Duration::from_millis(20);

/// One link as it went over the line.
#[derive(Default, Clone)]
pub(crate) struct Link {
    /// What the node that dialled said.
    pub(crate) dialled: Vec<u8>,
    /// What was answered.
    pub(crate) answered: Vec<u8>,
}

#[derive(Default)]
pub(crate) struct Tape {
    pub(crate) packets: Vec<Vec<u8>>,
    pub(crate) links: Vec<Link>,
}

impl Tape {
    pub(crate) fn holds(&self, text: &str) -> bool {
        let text = text.as_bytes();
        let within = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        self.links.iter().any(|link| within(&link.dialled))
    }
}

/// Listens at another address of this machine, at the bus port of a node that announces that address.
pub(crate) struct Recorder {
    tape: Arc<Mutex<Tape>>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Recorder {
    pub(crate) fn start(heard_at: SocketAddr, node: SocketAddr) -> Self {
        let (tape, over) = (Arc::default(), Arc::default());
        let listener = TcpListener::bind(heard_at).expect("listen for links");
        let socket = UdpSocket::bind(heard_at).expect("listen for packets");
        let threads = vec![
            {
                let (tape, over) = (Arc::clone(&tape), Arc::clone(&over));
                thread::spawn(move || pass_links(&listener, node, &tape, &over))
            },
            {
                let (tape, over) = (Arc::clone(&tape), Arc::clone(&over));
                thread::spawn(move || pass_packets(&socket, node, &tape, &over))
            },
        ];
        Recorder {
            tape,
            over,
            threads,
        }
    }

    pub(crate) fn tape(&self) -> MutexGuard<'_, Tape> {
        self.tape.lock().expect("no thread of the recorder panics")
    }

    /// Ends it and frees its address. What it heard is left.
    pub(crate) fn stop(mut self) -> Tape {
        self.end();
        std::mem::take(&mut *self.tape())
    }

    fn end(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("no thread of the recorder panics");
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end();
    }
}

fn pass_packets(socket: &UdpSocket, node: SocketAddr, tape: &Mutex<Tape>, over: &AtomicBool) {
    socket.set_read_timeout(Some(PAUSE)).expect("set a timeout");
    let mut packet = vec![0; 65_536];
    while !over.load(Ordering::Relaxed) {
        match socket.recv(&mut packet) {
            Ok(length) => {
                let mut tape = tape.lock().expect("no thread of the recorder panics");
                tape.packets.push(packet[..length].to_vec());
                // The node may be down.
                let _ = socket.send_to(&packet[..length], node);
            }
            // Nothing came, or what was sent last found nobody.
            Err(error) if is_pause(&error) || error.kind() == ErrorKind::ConnectionRefused => {}
            Err(error) => panic!("receive packets: {error}"),
        }
    }
}

fn is_pause(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn pass_links(
    listener: &TcpListener,
    node: SocketAddr,
    tape: &Arc<Mutex<Tape>>,
    over: &Arc<AtomicBool>,
) {
    listener.set_nonblocking(true).expect("do not block");
    let mut threads = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let Ok((dialled, _)) = listener.accept() else {
            thread::sleep(PAUSE / 4);
            continue;
        };
        let Ok(answered) = TcpStream::connect(node) else {
            continue;
        };
        dialled.set_nonblocking(false).expect("block again");
        let number = {
            let mut tape = tape.lock().expect("no thread of the recorder panics");
            tape.links.push(Link::default());
            tape.links.len() - 1
        };
        let [from, to] =
            [&dialled, &answered].map(|stream| stream.try_clone().expect("duplicate a socket"));
        for (from, to, dialler) in [(dialled, to, true), (answered, from, false)] {
            let (tape, over) = (Arc::clone(tape), Arc::clone(over));
            threads.push(thread::spawn(move || {
                pass_bytes(from, &to, &over, |bytes| {
                    let mut tape = tape.lock().expect("no thread of the recorder panics");
                    let link = &mut tape.links[number];
                    let side = if dialler {
                        &mut link.dialled
                    } else {
                        &mut link.answered
                    };
                    side.extend_from_slice(bytes);
                });
            }));
        }
    }
    for thread in threads {
        thread.join().expect("no thread of the recorder panics");
    }
}

fn pass_bytes(mut from: TcpStream, mut to: &TcpStream, over: &AtomicBool, keep: impl Fn(&[u8])) {
    from.set_read_timeout(Some(PAUSE)).expect("set a timeout");
    let mut bytes = vec![0; 65_536];
    while !over.load(Ordering::Relaxed) {
        match from.read(&mut bytes) {
            Ok(length) if length > 0 => {
                keep(&bytes[..length]);
                if to.write_all(&bytes[..length]).is_err() {
                    break;
                }
            }
            Err(error) if is_pause(&error) => {}
            // Closed, or broken.
            Ok(_) | Err(_) => break,
        }
    }
    // The other direction may have done the same.
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
