//! A board under QEMU, whose console is read line by line, and whose cable can be pulled. It is ended by its handle.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    Lm3s6965,
    An385,
}

pub(crate) struct Board {
    pub(crate) machine: Machine,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<thread::JoinHandle<()>>,
}

/// How a board ended.
pub(crate) struct End {
    pub(crate) status: Option<i32>,
    pub(crate) transcript: String,
}

/// A port of UDP that nobody had a moment ago.
pub(crate) fn free_port() -> u16 {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

impl Board {
    /// Boots the image in a network of its own, from which loopback of the host is reached, and which is reached on `port`
    /// of it.
    pub(crate) fn behind_port(machine: Machine, id: u8, life: u32, port: u16, contact: u16) -> Self {
        let nic = format!("user,hostfwd=udp:127.0.0.1:{port}-:7946");
        let args = [format!("announce=127.0.0.1:{port}"), format!("contact=127.0.0.1:{contact}")];
        Self::start(machine, id, life, &nic, &args)
    }

    /// Boots the image on a segment that all boards with the same `port` share.
    pub(crate) fn on_segment(machine: Machine, id: u8, life: u32, port: u16, args: &[String]) -> Self {
        let nic = format!("socket,mcast=230.9.9.9:{port},localaddr=127.0.0.1,mac=02:00:00:00:00:{id:02x}");
        let own = [format!("ip=10.0.0.{id}/24"), "gateway=none".to_owned()];
        Self::start(machine, id, life, &nic, &[&own, args].concat())
    }

    fn start(machine: Machine, id: u8, life: u32, nic: &str, args: &[String]) -> Self {
        let image = std::env::var("GOSSIP_FIRMWARE").expect("GOSSIP_FIRMWARE names the image");
        let (name, model) = match machine {
            Machine::Lm3s6965 => ("lm3s6965evb", "stellaris"),
            Machine::An385 => ("mps2-an385", "lan9118"),
        };
        let own = ["gossip".to_owned(), format!("id={id}"), format!("life={life}")];
        let args: String = own.iter().chain(args).map(|arg| format!(",arg={arg}")).collect();
        let mut child = Command::new("qemu-system-arm")
            .args(["-machine", name, "-display", "none", "-monitor", "stdio", "-serial", "none"])
            .args(["-nic", &format!("{nic},id=cable,model={model}"), "-kernel", &image])
            .args(["-semihosting-config", &format!("enable=on,target=native{args}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("qemu-system-arm runs");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (stderr, kept) = (child.stderr.take().unwrap(), lines.clone());
        let reader = thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        Self { machine, child, lines, reader: Some(reader) }
    }

    /// The first line that begins so.
    pub(crate) fn line(&self, start: &str) -> Option<String> {
        self.lines.lock().unwrap().iter().find(|line| line.starts_with(start)).cloned()
    }

    pub(crate) fn shows(&self, start: &str) -> bool {
        self.line(start).is_some()
    }

    pub(crate) fn transcript(&self) -> String {
        let lines = self.lines.lock().unwrap();
        lines.iter().fold(format!("{:?}:\n", self.machine), |text, line| text + "    " + line + "\n")
    }

    /// Cuts the board's segment off, without telling anybody, or joins it again.
    pub(crate) fn cut(&mut self, cut: bool) {
        let monitor = self.child.stdin.as_mut().unwrap();
        writeln!(monitor, "set_link cable {}", if cut { "off" } else { "on" }).unwrap();
    }

    /// The last line that begins with one of these.
    pub(crate) fn last(&self, starts: &[&str]) -> Option<String> {
        let lines = self.lines.lock().unwrap();
        lines.iter().rfind(|line| starts.iter().any(|start| line.starts_with(start))).cloned()
    }

    /// Pulls the plug.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until the firmware ends by itself.
    pub(crate) fn end(mut self, patience: Duration) -> End {
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() && start.elapsed() < patience {
            thread::sleep(Duration::from_millis(10));
        }
        let status = self.child.try_wait().unwrap().and_then(|status| status.code());
        self.kill();
        let _ = self.reader.take().map(thread::JoinHandle::join);
        End { status, transcript: self.transcript() }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.kill();
    }
}

impl End {
    /// The whole image, with everything on.
    pub(crate) fn check_budget(&self) {
        let line = self.transcript.lines().find_map(|line| line.trim().strip_prefix("budget ")).expect("it prints one");
        let words: Vec<&str> = line.split(' ').collect();
        let figure =
            |name: &str| words[words.iter().position(|word| *word == name).unwrap() + 1].parse::<usize>().unwrap();
        println!("{line}");
        assert!(figure("flash") <= 144 * 1024, "flash");
        assert!(figure("data") + figure("bss") <= 32 * 1024, ".data and .bss");
        assert!(figure("stack") <= 6 * 1024, "stack, once it runs");
        assert!(figure("boot") <= 6 * 1024, "stack, at boot");
    }
}
