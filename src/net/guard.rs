//! Which addresses may be dialled (server-side request forgery, DNS rebinding).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::{fmt, io};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// How far an address is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The operator's file names it: dialled as it stands.
    Operator,
    /// The owner allowed private addresses for it; link-local and metadata addresses stay out.
    Private,
    /// Anyone may have named it: global unicast only.
    Public,
}

/// Why an address is not dialled.
#[derive(Debug)]
pub(super) struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

fn refuse(why: &str) -> Refusal {
    Refusal(why.to_owned())
}

/// Checks what a URL says by itself: scheme, credentials, host name, address literals.
pub(super) fn check(url: &Url, reach: Reach) -> Result<(), Refusal> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("only http and https URLs are called"));
    }
    if reach == Reach::Operator {
        return Ok(());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("a URL with a user name or password is not called"));
    }
    if reach == Reach::Public && url.scheme() != "https" {
        return Err(refuse("an address added at run time must use https; the owner may say `--allow-private`"));
    }
    match url.host() {
        Some(Host::Ipv4(ip)) => check_ip(IpAddr::V4(ip), reach),
        Some(Host::Ipv6(ip)) => check_ip(IpAddr::V6(ip), reach),
        Some(Host::Domain(name)) => check_name(name, reach),
        None => Err(refuse("the URL has no host")),
    }
}

fn check_name(name: &str, reach: Reach) -> Result<(), Refusal> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let local = name == "localhost" || [".localhost", ".local", ".internal"].iter().any(|end| name.ends_with(end));
    if name.starts_with("metadata.") || name == "metadata" {
        return Err(refuse("metadata services are never called"));
    }
    if local && reach == Reach::Public {
        return Err(refuse("a local host name needs `--allow-private`"));
    }
    Ok(())
}

fn check_ip(ip: IpAddr, reach: Reach) -> Result<(), Refusal> {
    let ip = embedded(ip);
    if never(ip) {
        return Err(refuse("link-local, multicast and metadata addresses are never called"));
    }
    if reach == Reach::Public && !global(ip) {
        return Err(refuse("a private or special address needs `--allow-private`"));
    }
    Ok(())
}

/// The IPv4 address inside mapped, compatible, NAT64, 6to4 and Teredo forms, else the address itself.
#[allow(clippy::many_single_char_names)] // Eight groups, as RFC 4291 letters them.
fn embedded(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b) {
        (0, 0) if [c, d, e] == [0, 0, 0] && (f == 0xffff || f == 0) && !(f == 0 && g == 0 && h <= 1) => v4(g, h),
        (0x64, 0xff9b) if [c, d, e, f] == [0; 4] => v4(g, h),
        (0x2002, _) => v4(b, c),
        (0x2001, 0) => v4(!g, !h),
        _ => ip,
    }
}

fn never(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let azure = v4 == Ipv4Addr::new(168, 63, 129, 16);
            let alibaba = v4 == Ipv4Addr::new(100, 100, 100, 200);
            v4.is_link_local() || v4.is_multicast() || v4.is_broadcast() || v4.is_unspecified() || azure || alibaba
        }
        IpAddr::V6(v6) => {
            let link_local = v6.segments().first().is_some_and(|s| s & 0xffc0 == 0xfe80);
            let aws = v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
            // Where the IPv4 address stands in it is known to its network alone (RFC 8215).
            let translated = v6.segments().starts_with(&[0x64, 0xff9b, 1]);
            link_local || v6.is_multicast() || v6.is_unspecified() || aws || translated
        }
    }
}

fn global(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let special = matches!(
                (a, b, c),
                (0 | 10 | 127 | 224.., ..)
                    | (100, 64..=127, _)
                    | (169, 254, _)
                    | (172, 16..=31, _)
                    | (192, 0, 0 | 2)
                    | (192, 88, 99)
                    | (192, 168, _)
                    | (198, 18..=19, _)
                    | (198, 51, 100)
                    | (203, 0, 113)
            );
            !special
        }
        IpAddr::V6(v6) => {
            let [a, b, ..] = v6.segments();
            // Only 2000::/3 is handed out; documentation and benchmarking ranges lie inside it.
            a & 0xe000 == 0x2000 && !(a == 0x2001 && (b == 0xdb8 || b == 2)) && a != 0x3fff
        }
    }
}

/// Finds the addresses of a name.
type Lookup = fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;

/// Resolves a name and hands out only addresses that may be dialled: all of them, or none. It is asked for every connection,
/// and what it hands out is what is dialled, so a name that means something else a moment later leads nowhere else.
pub(super) struct Resolver {
    reach: Reach,
    lookup: Lookup,
}

impl Resolver {
    /// Asks the system.
    pub(super) fn new(reach: Reach) -> Self {
        let system: Lookup = |name| async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) }.boxed();
        Self { reach, lookup: system }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let Self { reach, lookup } = *self;
        Box::pin(async move {
            check_name(name.as_str(), reach)?;
            let found = lookup(name.as_str().to_owned()).await?;
            for address in &found {
                check_ip(address.ip(), reach)?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::net::Error;

    #[test]
    fn no_hostile_spelling_of_an_address_is_dialled() {
        let hostile = [
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[64:ff9b::7f00:1]/",
            // Where a network translates by its own prefix, the address may stand in the middle.
            "https://[64:ff9b:1:7f00:0:100:808:808]/",
            "https://[64:ff9b:1::808:808]/",
            "https://[2002:7f00:1::]/",
            "https://[fc00::1]/",
            "https://[fe80::1]/",
            "https://[fec0::1]/",
            "https://10.0.0.1/",
            "https://172.16.0.1/",
            "https://192.168.1.1/",
            "https://100.64.0.1/",
            "https://169.254.169.254/",
            "https://168.63.129.16/",
            "https://localhost/",
            "https://localhost./",
            "https://a.internal/",
            "https://u:p@example.com/",
            "http://example.com/",
            "ftp://example.com/",
            "https://0/",
            "https://[::]/",
            "https://224.0.0.1/",
            "https://198.18.0.1/",
            "https://192.0.2.1/",
            "https://metadata.google.internal/",
            "https://①②⑦.0.0.1/",
        ];
        for url in hostile {
            let url = Url::parse(url).unwrap();
            assert!(check(&url, Reach::Public).is_err(), "{url}");
        }
        assert!(check(&Url::parse("https://example.com/mcp").unwrap(), Reach::Public).is_ok());
        assert!(check(&Url::parse("https://[2606:4700::1]/").unwrap(), Reach::Public).is_ok());
    }

    #[test]
    fn a_private_address_is_dialled_when_the_owner_allows_it_but_metadata_never() {
        assert!(check(&Url::parse("http://10.0.0.7:3001/").unwrap(), Reach::Private).is_ok());
        assert!(check(&Url::parse("http://127.0.0.1:1/").unwrap(), Reach::Private).is_ok());
        for url in [
            "http://169.254.169.254/",
            "http://[fd00:ec2::254]/",
            "http://[::ffff:169.254.169.254]/",
            "http://metadata/",
            "http://[64:ff9b:1:a9fe:a9:fe00::]/",
        ] {
            assert!(check(&Url::parse(url).unwrap(), Reach::Private).is_err(), "{url}");
        }
    }

    /// A name that means a public address when it is asked for first, one of this machine from then on, and both at once at the end.
    fn rebinding() -> Resolver {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let lookup: Lookup = |_| {
            let (public, own) = (SocketAddr::from(([93, 184, 216, 34], 0)), SocketAddr::from(([127, 0, 0, 1], 0)));
            let found = match ASKED.fetch_add(1, Ordering::Relaxed) {
                0 => vec![public],
                1 => vec![own],
                _ => vec![public, own],
            };
            async move { Ok(found) }.boxed()
        };
        Resolver { reach: Reach::Public, lookup }
    }

    #[tokio::test]
    async fn a_name_that_means_another_address_the_next_time_is_dialled_at_none_of_them() {
        let trap = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let resolver = rebinding();
        let name = || "rebind.test".parse().unwrap();
        let first: Vec<SocketAddr> = resolver.resolve(name()).await.unwrap().collect();
        assert_eq!(first, [SocketAddr::from(([93, 184, 216, 34], 0))], "what is handed out is what was checked");
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().dns_resolver(Arc::new(resolver)).build().unwrap();
        for time in ["the second", "the third"] {
            let refused = client.get(format!("http://rebind.test:{}/", trap.local_addr().unwrap().port())).send().await.unwrap_err();
            assert!(matches!(Error::from(refused), Error::NotAllowed(_)), "{time} time");
        }
        let came = trap.accept().now_or_never();
        assert!(came.is_none(), "nobody came: {came:?}");
    }
}
