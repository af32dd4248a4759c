//! How values of options are read. What is refused comes with what is wanted and an example, for the parser of the command
//! line to show beside the option's name.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// Reads whole numbers of this range.
pub fn whole_number<T>(
    range: RangeInclusive<T>,
    example: T,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: Copy + Display + FromStr + PartialOrd + Send + Sync + 'static,
{
    move |text| match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!(
            "use a whole number from {} to {}, such as {example}",
            range.start(),
            range.end()
        )),
    }
}

/// Reads times of this range, with units: `500ms`, `30s`, `1h`.
pub fn duration(
    range: RangeInclusive<Duration>,
    example: &'static str,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    move |text| match humantime::parse_duration(text) {
        Ok(time) if range.contains(&time) => Ok(time),
        _ => Err(format!(
            "use a time with a unit, from {} to {}, such as {example}",
            humantime::format_duration(*range.start()),
            humantime::format_duration(*range.end())
        )),
    }
}

/// Reads where to listen.
///
/// # Errors
/// When it is no address with a port.
pub fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let wanted = "use IP:PORT, such as 127.0.0.1:3001, or [::]:3001 for every address";
    let brackets =
        |(ip, port): (&str, &str)| Some(SocketAddr::new(ip.strip_prefix('[')?.parse().ok()?, port.parse().ok()?));
    let parsed = text.parse().ok().or_else(|| text.rsplit_once("]:").and_then(brackets));
    parsed.ok_or_else(|| wanted.to_owned())
}

/// Reads an address of a machine.
///
/// # Errors
/// When it is none.
pub fn ip_address(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_| "use an IP address, such as 192.168.1.20".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_outside_its_range_and_no_number_are_refused_with_the_range_and_an_example() {
        let read = whole_number(1..=32, 3);
        assert_eq!(read("32"), Ok(32));
        for wrong in ["0", "33", "abc", "", "3.5", "-1", "99999999999999999999"] {
            assert_eq!(
                read(wrong),
                Err("use a whole number from 1 to 32, such as 3".to_owned()),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_time_outside_its_range_and_one_without_a_unit_are_refused_with_the_range_and_an_example() {
        let read = duration(Duration::from_secs(3)..=Duration::from_secs(300), "15s");
        assert_eq!(read("1m 30s"), Ok(Duration::from_secs(90)));
        for wrong in ["2s", "301s", "15", "", "-5s", "99999999999999999999s"] {
            assert_eq!(
                read(wrong),
                Err("use a time with a unit, from 3s to 5m, such as 15s".to_owned()),
                "{wrong}"
            );
        }
    }

    #[test]
    fn an_address_is_refused_with_an_example() {
        assert!(socket_address("[::]:3001").is_ok());
        assert!(socket_address("3001").is_err_and(|why| why.contains("127.0.0.1:3001")));
        assert!(ip_address("::1").is_ok());
        assert!(ip_address("localhost").is_err_and(|why| why.contains("192.168.1.20")));
    }
}
