//! The formats Kubernetes validates in custom resources. Unknown ones are not checked, as there.

/// Whether a text has a format.
pub(crate) fn matches(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => is_date_time(text),
        "date" => is_date(text.as_bytes()),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => is_mac(text),
        "hostname" => edgeward_objects::names::dns1123_subdomain(&text.to_lowercase()).is_empty(),
        "email" => text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty()),
        "uri" => text.split_once(':').is_some_and(|(scheme, _)| is_scheme(scheme)),
        "uuid" | "uuid3" | "uuid4" | "uuid5" => is_uuid(text),
        "byte" => is_base64(text),
        "duration" => is_duration(text),
        _ => true,
    }
}

/// RFC 3339: `2026-11-21T09:00:00.5Z`.
fn is_date_time(text: &str) -> bool {
    let Some((date, time)) = text.split_at_checked(10) else { return false };
    let bytes = time.as_bytes();
    let number = |from: usize, max: u8| match bytes.get(from..from + 2) {
        Some([high @ b'0'..=b'9', low @ b'0'..=b'9']) => (high - b'0') * 10 + (low - b'0') <= max,
        _ => false,
    };
    let clock = matches!(bytes.first(), Some(b'T' | b't' | b' '))
        && (number(1, 23)
            && bytes.get(3) == Some(&b':')
            && number(4, 59)
            && bytes.get(6) == Some(&b':')
            && number(7, 60));
    let rest = time.get(9..).unwrap_or_default();
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            if zone.len() == fraction.len() { "" } else { zone }
        }
        None => rest,
    };
    is_date(date.as_bytes()) && clock && is_zone(zone)
}

fn is_date(bytes: &[u8]) -> bool {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = bytes else { return false };
    let digits = [y1, y2, y3, y4, m1, m2, d1, d2];
    let number = |high: &u8, low: &u8| (high - b'0') * 10 + (low - b'0');
    digits.iter().all(|byte| byte.is_ascii_digit())
        && (1..=12).contains(&number(m1, m2))
        && (1..=31).contains(&number(d1, d2))
}

fn is_zone(zone: &str) -> bool {
    match zone.as_bytes() {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => [h1, h2, m1, m2].iter().all(|byte| byte.is_ascii_digit()),
        _ => false,
    }
}

fn is_cidr(text: &str) -> bool {
    text.split_once('/').is_some_and(|(address, length)| match address.parse::<std::net::IpAddr>() {
        Ok(address) => length.parse::<u8>().is_ok_and(|length| length <= if address.is_ipv4() { 32 } else { 128 }),
        Err(_) => false,
    })
}

fn is_mac(text: &str) -> bool {
    let groups: Vec<&str> = text.split([':', '-']).collect();
    groups.len() == 6 && groups.iter().all(|group| group.len() == 2 && group.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn is_uuid(text: &str) -> bool {
    let hex = text.bytes().filter(|byte| *byte != b'-');
    hex.clone().count() == 32 && hex.clone().all(|byte| byte.is_ascii_hexdigit()) && matches!(text.len(), 32 | 36)
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - body.len() <= 2
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

/// Go's durations, `1h30m` and `-1.5s`, and a bare zero.
fn is_duration(text: &str) -> bool {
    let mut rest = text.trim_start_matches(['+', '-']);
    if rest == "0" {
        return true;
    }
    let mut parts = 0;
    while !rest.is_empty() {
        let number = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let unit = ["ns", "us", "µs", "ms", "s", "m", "h"].into_iter().find(|unit| rest[number..].starts_with(unit));
        let Some(unit) = unit.filter(|_| number > 0 && rest[..number].parse::<f64>().is_ok()) else { return false };
        rest = &rest[number + unit.len()..];
        parts += 1;
    }
    parts > 0
}
