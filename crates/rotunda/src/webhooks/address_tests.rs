#![allow(clippy::unwrap_used)]
use super::*;

fn kind_of(ip: &str) -> Option<AddressKind> {
    kind(ip.parse().unwrap())
}

#[test]
fn ends_of_networks_are_told_apart() {
    for (ip, expected) in [
        ("0.255.255.255", Some(Unspecified)),
        ("1.0.0.0", None),
        ("9.255.255.255", None),
        ("10.255.255.255", Some(Private)),
        ("11.0.0.0", None),
        ("100.63.255.255", None),
        ("100.127.255.255", Some(Shared)),
        ("100.128.0.0", None),
        ("126.255.255.255", None),
        ("127.255.255.255", Some(Loopback)),
        ("128.0.0.0", None),
        ("169.253.255.255", None),
        ("169.254.255.255", Some(LinkLocal)),
        ("172.15.255.255", None),
        ("172.31.255.255", Some(Private)),
        ("172.32.0.0", None),
        ("192.0.1.0", None),
        ("192.167.255.255", None),
        ("192.169.0.0", None),
        ("198.17.255.255", None),
        ("198.19.255.255", Some(Benchmark)),
        ("198.20.0.0", None),
        ("223.255.255.255", None),
        ("239.255.255.255", Some(Multicast)),
        ("240.0.0.0", Some(Reserved)),
        ("255.255.255.254", Some(Reserved)),
        ("168.63.129.15", None),
        ("8.8.8.8", None),
        ("2000::", None),
        ("2001:1ff:ffff::", Some(Reserved)),
        ("2001:200::", None),
        ("2001:db7:ffff::", None),
        ("2001:db9::", None),
        ("2003::", None),
        ("2606:4700:4700::1111", None),
        ("3fff:fff:ffff::1", Some(Documentation)),
        ("3fff:1000::", None),
        ("4000::", Some(Reserved)),
        ("64:ff9b::8.8.8.8", None),
        ("::ffff:8.8.8.8", None),
        ("2606:4700::5efe:8.8.8.8", None),
    ] {
        assert_eq!(kind_of(ip), expected, "{ip}");
    }
}

#[test]
fn what_is_allowed_is_let_through_and_no_more() {
    let check = |allow: &[&str], host: Option<&str>, ip: &str| {
        let rule = AddressRule::allowing(allow).unwrap();
        rule.check(host, ip.parse().unwrap()).is_ok()
    };
    assert!(check(&[], None, "8.8.8.8"));
    assert!(!check(&[], Some("hooks.internal"), "10.0.0.7"));
    assert!(check(&["private"], None, "10.0.0.7"));
    assert!(check(&["private"], None, "::ffff:10.0.0.7"));
    assert!(check(&["private"], None, "fd12::1"));
    assert!(!check(&["private"], None, "127.0.0.1"));
    assert!(check(&["10.0.0.0/24"], None, "10.0.0.7"));
    assert!(check(&["10.0.0.0/24"], None, "64:ff9b::a00:7"));
    assert!(!check(&["10.0.0.0/24"], None, "10.0.1.7"));
    assert!(check(&["fd12::/16"], None, "fd12::1"));
    assert!(check(&["10.0.0.7"], None, "10.0.0.7"));
    assert!(!check(&["10.0.0.7"], None, "10.0.0.8"));
    for host in ["hooks.internal", "hooks.internal.", "HOOKS.internal"] {
        assert!(check(&["Hooks.Internal"], Some(host), "10.0.0.7"), "{host}");
    }
    assert!(!check(
        &["hooks.internal"],
        Some("hooks.internal.example.com"),
        "10.0.0.7"
    ));
    assert!(!check(&["hooks.internal"], None, "10.0.0.7"));
    // Secrets of a cloud need the word or the very address.
    assert!(!check(&["0.0.0.0/0", "link-local", "private"], None, "169.254.169.254"));
    assert!(!check(&["::/0", "private"], None, "fd00:ec2::254"));
    assert!(check(&["metadata"], None, "169.254.169.254"));
    assert!(check(&["169.254.169.254"], None, "169.254.169.254"));
}

#[test]
fn what_is_no_word_network_or_name_is_told() {
    for text in ["", "10.0.0.0/33", "http://hooks.internal", "a b", "[::1]:80"] {
        assert!(AddressRule::allowing([text]).is_err(), "{text}");
    }
}
