//! Which hosts a server's links may lead to.
//!
//! A server is not trusted to send requests from here to anywhere: this machine may stand in a network whose inside trusts whoever asks. So a
//! link leads no nearer to this machine than the server itself is, by its address and by what its name resolves to at the moment of the
//! connection, unless the user named the host as a store. Where a proxy makes the connections, it resolves the names, and judges them.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// How near an address is. What is nearer trusts this machine more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// Anybody reaches it.
    World,
    /// Who is in the same network as this machine.
    Network,
    /// This machine, or what only a neighbour on the wire reaches.
    Machine,
}

impl Reach {
    /// How near an address is.
    pub(super) fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => Self::of_v6(ip),
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Self {
        let [a, b, c, _] = ip.octets();
        // 0.0.0.0/8 is this machine to some systems; 100.64.0.0/10 lies behind a provider's translation (RFC 6598), 192.0.0.0/24 and
        // 198.18.0.0/15 are for networks' own purposes (RFC 6890); what begins with 224 or more is nobody's alone.
        if ip.is_loopback() || ip.is_link_local() || a == 0 || a >= 224 {
            Self::Machine
        } else if ip.is_private()
            || a == 100 && (64..128).contains(&b)
            || a == 192 && b == 0 && c == 0
            || a == 198 && (18..20).contains(&b)
        {
            Self::Network
        } else {
            Self::World
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Self {
        if ip.is_loopback() || ip.is_unspecified() || ip.is_unicast_link_local() || ip.is_multicast() {
            return Self::Machine;
        }
        let four = |high: u16, low: u16| Self::of_v4((u32::from(high) << 16 | u32::from(low)).into());
        match ip.segments() {
            // fc00::/7 and fec0::/10 are a network's own.
            [first, ..] if first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfec0 => Self::Network,
            // An address of IPv4 as it is (::/96, ::ffff:0:0/96, ::ffff:0:0:0/96), or for a translator to reach (64:ff9b::/96, RFC 6052).
            [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
            | [0, 0, 0, 0, 0xffff, 0, high, low]
            | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => four(high, low),
            // 64:ff9b:1::/48 is for a site's own translator (RFC 8215), and where in it the other address stands is the site's business.
            [0x64, 0xff9b, 1, ..] => Self::Machine,
            // 6to4 holds one, Teredo two, the second turned over.
            [0x2002, high, low, ..] => four(high, low),
            [0x2001, 0, high, low, _, _, a, b] => four(high, low).max(four(!a, !b)),
            [first, ..] if first & 0xe000 == 0x2000 => Self::World,
            // Nothing else is given to anybody.
            _ => Self::Machine,
        }
    }

    /// How near a host of an address is, if that shows in what is written.
    pub(super) fn of_host(host: &str) -> Option<Self> {
        match host.trim_start_matches('[').trim_end_matches(']').parse() {
            Ok(ip) => Some(Self::of(ip)),
            Err(_) => {
                let name = host.trim_end_matches('.');
                (name == "localhost" || name.ends_with(".localhost")).then_some(Self::Machine)
            }
        }
    }
}

/// Looks a name up.
type LookUp = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Judges hosts of links; of those that are names also what they resolve to.
#[derive(Clone)]
pub(super) struct Judge {
    nearest: Reach,
    stores: Arc<[String]>,
    // Names of the user's own choice, to which connections are made in a link's place.
    proxies: Arc<[String]>,
    // Hosts of links that are no named store's. A host that is named with a port may be one, of links to another port.
    judged: Arc<Mutex<HashSet<String>>>,
    look_up: LookUp,
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").field("nearest", &self.nearest).field("stores", &self.stores).finish_non_exhaustive()
    }
}

impl Judge {
    /// Of links that a server gives which is so near; `stores` are hosts that the user named, as `host` or `host:port`.
    pub(super) fn new(nearest: Reach, stores: &str) -> Self {
        let look_up = |name: String| -> BoxFuture<'static, _> {
            // The port is the link's; here it stands for none.
            Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
        };
        Self::with(nearest, stores, Arc::new(look_up))
    }

    fn with(nearest: Reach, stores: &str, look_up: LookUp) -> Self {
        let named = stores.split([',', ' ']).filter(|host| !host.is_empty()).map(str::to_ascii_lowercase);
        let proxies = PROXIES.iter().filter_map(|name| proxy_host(&std::env::var(name).ok()?)).collect();
        Self { nearest, stores: named.collect(), proxies, judged: Arc::default(), look_up }
    }

    /// One for tests, with the addresses that every name has.
    #[cfg(test)]
    pub(super) fn of_names(nearest: Reach, stores: &str, all: IpAddr) -> Self {
        let look_up = move |_| -> BoxFuture<'static, _> { Box::pin(async move { Ok(vec![SocketAddr::new(all, 0)]) }) };
        Self::with(nearest, stores, Arc::new(look_up))
    }

    /// Why no link to an address is followed, if none is. What its name resolves to is judged when it is connected to.
    pub(super) fn refuses(&self, url: &Url) -> Option<&'static str> {
        if !url.username().is_empty() || url.password().is_some() {
            return Some("it has a name in it");
        }
        let host = url.host_str()?;
        if self.nearest == Reach::Machine || self.is_named(host, url.port_or_known_default()) {
            return None;
        }
        if url.scheme() != "https" {
            return Some(NOT_HTTPS);
        }
        if Reach::of_host(host).is_some_and(|reach| reach > self.nearest) {
            return Some(TOO_NEAR);
        }
        self.judged.lock().unwrap_or_else(PoisonError::into_inner).insert(canonical(host));
        None
    }

    fn is_named(&self, host: &str, port: Option<u16>) -> bool {
        let with_port = port.map(|port| format!("{host}:{port}"));
        self.stores.iter().any(|named| named == host || Some(named) == with_port.as_ref())
    }

    /// Whether it matters what a name resolves to: always, but for those that the user chose.
    fn is_judged(&self, name: &str) -> bool {
        let name = canonical(name);
        if self.judged.lock().unwrap_or_else(PoisonError::into_inner).contains(&name) {
            return true;
        }
        let is_store =
            |named: &String| canonical(named.rsplit_once(':').map_or(named.as_str(), |(host, _)| host)) == name;
        !self.proxies.contains(&name) && !self.stores.iter().any(is_store)
    }

    /// Those of a name's addresses that may be connected to.
    async fn resolved(self, name: String) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let is_judged = self.is_judged(&name);
        let mut found = (self.look_up)(name).await?;
        let all = found.len();
        found.retain(|address| !is_judged || Reach::of(address.ip()) <= self.nearest);
        if found.is_empty() && all > 0 { Err(Box::new(TooNear)) } else { Ok(found) }
    }
}

impl Resolve for Judge {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.clone().resolved(name.as_str().to_owned());
        Box::pin(async move { Ok(Box::new(found.await?.into_iter()) as Addrs) })
    }
}

/// Where the environment names proxies.
pub(super) const PROXIES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// A proxy's host, as it stands in the environment: an address, with or without a scheme.
fn proxy_host(proxy: &str) -> Option<String> {
    let url = Url::parse(proxy).ok().filter(Url::has_host).or_else(|| Url::parse(&format!("http://{proxy}")).ok())?;
    url.host_str().map(canonical)
}

/// A name in one spelling.
fn canonical(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

const NOT_HTTPS: &str = "it is not https; if it is the store, name its host in SEQVAULT_STORE_HOSTS";
const TOO_NEAR: &str =
    "it leads to this machine or into its own network; if it is the store, name its host in SEQVAULT_STORE_HOSTS";

/// A name that has no address but such as no link may lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{TOO_NEAR}")]
pub(super) struct TooNear;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may unwrap")]

    use super::*;

    #[test]
    fn an_address_is_as_near_as_who_reaches_it() {
        let cases = [
            (
                Reach::World,
                "192.0.2.1 8.8.8.8 100.63.0.1 100.128.0.1 172.32.0.1 198.17.0.1 198.20.0.1 192.0.1.1 2001:db8::1 ::ffff:8.8.8.8 \
                 64:ff9b::808:808 ::808:808 ::ffff:0:808:808 2002:808:808::1 2001:0:808:808::f7f7:f7f7",
            ),
            (
                Reach::Network,
                "10.0.0.5 172.16.0.1 172.31.255.1 192.168.1.1 100.64.0.1 198.18.0.1 198.19.9.9 192.0.0.8 fd00::1 fec0::1 \
                 ::ffff:10.0.0.1 64:ff9b::a00:1 ::a00:1 ::ffff:0:a00:1 2002:a00:1::1 2001:0:808:808::f5ff:fffe",
            ),
            (
                Reach::Machine,
                "127.0.0.1 127.8.9.1 0.0.0.0 0.1.2.3 169.254.169.254 224.0.0.1 255.255.255.255 ::1 :: fe80::1 ff02::1",
            ),
            (
                Reach::Machine,
                "::ffff:127.0.0.1 ::ffff:169.254.169.254 64:ff9b::7f00:1 240.0.0.1 64:ff9b:1::808:808 2002:7f00:1::1 \
                 2001:0:a9fe:a9fe::f7f7:f7f7 4000::1 100::1",
            ),
        ];
        for (reach, ips) in cases {
            for ip in ips.split(' ') {
                assert_eq!(Reach::of(ip.parse().unwrap()), reach, "{ip}");
                let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
                assert_eq!(Reach::of_host(&host), Some(reach), "{host}");
            }
        }
        for host in ["localhost", "localhost.", "a.localhost"] {
            assert_eq!(Reach::of_host(host), Some(Reach::Machine), "{host}");
        }
        assert_eq!(Reach::of_host("s3.example"), None);
    }

    #[test]
    fn a_link_leads_no_nearer_than_the_server_is_unless_the_user_named_the_store() {
        let is_followed = |nearest, stores, url: &str| {
            let url = Url::parse(url).unwrap();
            Judge::new(nearest, stores).refuses(&url).is_none()
        };
        let (world, network, machine) = (Reach::World, Reach::Network, Reach::Machine);
        for (url, from) in [
            ("https://s3.example/b", world),
            ("https://192.0.2.7/b", world),
            ("https://10.0.0.5/b", network),
            ("https://[fd00::1]:9000/b", network),
            ("https://127.0.0.1:8333/b", machine),
            ("https://169.254.169.254/latest", machine),
            // Numbers are addresses too.
            ("https://2130706433/b", machine),
            ("https://0x7f.1/b", machine),
            ("https://[::ffff:127.0.0.1]/b", machine),
            ("http://s3.example/b", machine),
        ] {
            for nearest in [world, network, machine] {
                assert_eq!(is_followed(nearest, "", url), nearest >= from, "{url} from {nearest:?}");
            }
        }
        let stores = "S3.lab, 10.0.0.5:9000 ,192.168.0.9";
        for url in ["http://s3.lab/b", "https://s3.lab:9000/b", "http://10.0.0.5:9000/b", "https://192.168.0.9/b"] {
            assert!(is_followed(world, stores, url), "{url}");
        }
        for url in ["http://s3.lab.example/b", "http://10.0.0.5:9001/b", "http://10.0.0.5/b", "http://a:b@s3.lab/b"] {
            assert!(!is_followed(world, stores, url), "{url}");
        }
        assert!(!is_followed(machine, "", "http://a:b@127.0.0.1/b"));
    }

    #[test]
    fn a_proxy_is_known_however_it_is_written() {
        for proxy in ["http://u:p@Proxy.lab:3128", "proxy.lab:3128", "proxy.lab", "socks5h://proxy.lab.:1080/"] {
            assert_eq!(proxy_host(proxy).as_deref(), Some("proxy.lab"), "{proxy}");
        }
        assert_eq!(proxy_host(""), None);
    }

    #[tokio::test]
    async fn what_a_name_resolves_to_is_judged_and_a_proxy_s_is_not() {
        let two = |_| -> BoxFuture<'static, _> {
            Box::pin(async { Ok(vec!["10.0.0.5:0".parse().unwrap(), "192.0.2.1:0".parse().unwrap()]) })
        };
        let judge = Judge::with(Reach::World, "named.example", Arc::new(two));
        for url in ["https://s3.example/b", "https://named.example/b"] {
            assert_eq!(judge.refuses(&Url::parse(url).unwrap()), None);
        }
        let addresses = async |judge: &Judge, name: &str| {
            let found = judge.clone().resolved(name.to_owned()).await;
            found.map(|found| found.iter().map(|a| a.ip().to_string()).collect::<Vec<_>>()).map_err(|e| e.to_string())
        };
        assert_eq!(addresses(&judge, "s3.example").await.unwrap(), ["192.0.2.1"]);
        let judge = Judge { proxies: Arc::new(["proxy.example".to_owned()]), ..judge };
        for unjudged in ["named.example", "proxy.example", "Proxy.Example."] {
            assert_eq!(addresses(&judge, unjudged).await.unwrap(), ["10.0.0.5", "192.0.2.1"]);
        }
        // However it is written, and though nobody asked whether a link leads there.
        for judged in ["S3.Example.", "s3.example.", "other.example"] {
            assert_eq!(addresses(&judge, judged).await.unwrap(), ["192.0.2.1"], "{judged}");
        }
        // A store that is named with a port is no other port's.
        let judge = Judge { stores: Arc::new(["named.example:9000".to_owned()]), ..judge };
        assert_eq!(addresses(&judge, "named.example").await.unwrap(), ["10.0.0.5", "192.0.2.1"]);
        assert_eq!(judge.refuses(&Url::parse("https://named.example/b").unwrap()), None);
        assert_eq!(addresses(&judge, "named.example").await.unwrap(), ["192.0.2.1"]);
        let near = Judge::of_names(Reach::Network, "", "127.0.0.1".parse().unwrap());
        assert_eq!(near.refuses(&Url::parse("https://s3.example/b").unwrap()), None);
        assert_eq!(addresses(&near, "s3.example").await, Err(TooNear.to_string()));
    }
}
