//! What the image is told on its command line: `name=value`, each at most once.

use core::net::SocketAddrV4;
use core::str::FromStr;

use embassy_net::Ipv4Cidr;

/// How this node runs.
pub(crate) struct Options {
    /// Its number: the last byte of its hardware address, and its id.
    pub(crate) id: u8,
    /// Which life of this node it is: it makes the seed.
    pub(crate) life: u32,
    /// Its address and network, and the gateway.
    pub(crate) ip: Ipv4Cidr,
    pub(crate) gateway: Option<core::net::Ipv4Addr>,
    /// Where others reach it, if not at its own address.
    pub(crate) announce: Option<SocketAddrV4>,
    pub(crate) port: u16,
    pub(crate) contact: Option<SocketAddrV4>,
    /// What it sets the shared setting to once it has joined.
    pub(crate) interval_ms: Option<u32>,
    /// For how many seconds it runs before it leaves; for ever without.
    pub(crate) seconds: Option<u64>,
}

impl Options {
    /// The arguments of the command line, or the first that is none.
    pub(crate) fn parse<'a>(args: impl Iterator<Item = &'a str>) -> Result<Self, &'a str> {
        let ip = Ipv4Cidr::new(core::net::Ipv4Addr::new(10, 0, 2, 15), 24);
        let gateway = Some(core::net::Ipv4Addr::new(10, 0, 2, 2));
        let mut options = Self {
            id: 1,
            life: 1,
            ip,
            gateway,
            announce: None,
            port: 7946,
            contact: None,
            interval_ms: None,
            seconds: None,
        };
        for arg in args {
            options.set(arg).ok_or(arg)?;
        }
        Ok(options)
    }

    fn set(&mut self, arg: &str) -> Option<()> {
        let (name, value) = arg.split_once('=')?;
        match name {
            "id" => self.id = value.parse().ok()?,
            "life" => self.life = value.parse().ok()?,
            "ip" => self.ip = Ipv4Cidr::from_str(value).ok()?,
            "gateway" => self.gateway = if value == "none" { None } else { Some(value.parse().ok()?) },
            "announce" => self.announce = Some(value.parse().ok()?),
            "port" => self.port = value.parse().ok()?,
            "contact" => self.contact = Some(value.parse().ok()?),
            "interval_ms" => self.interval_ms = Some(value.parse().ok()?),
            "seconds" => self.seconds = Some(value.parse().ok()?),
            _ => return None,
        }
        Some(())
    }
}
