//! Variables that Kubernetes puts into every pod for each Service of its namespace ("service links"). One whose name
//! begins with `unrip` looks like ours: `UNRIP_INGEST_A_VENUE_SERVICE_HOST`, `…_PORT_80_TCP_ADDR`.

use super::overlay::PREFIX;

/// Protocols of a Service's ports.
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// Whether the variable has the shape of a service link. No key of a configuration has; deeper keys (`__`) never do.
pub(super) fn is_service_link(name: &str, text: &str) -> bool {
    // A Service named `unrip` itself leaves nothing before the shape.
    let Some(rest) = name.strip_prefix(PREFIX).filter(|rest| !rest.contains("__")) else { return false };
    let words: Vec<&str> = rest.split('_').collect();
    let shapes = (0..words.len()).filter_map(|at| words.get(at..));
    let mut shapes = shapes.map(|shape| shape.to_vec());
    shapes.any(|shape| match shape.as_slice() {
        ["SERVICE", "HOST"] => true,
        ["SERVICE", "PORT", ..] => true,
        ["PORT"] => text.split_once("://").is_some_and(|(protocol, _)| is_protocol(protocol)),
        ["PORT", number, protocol] | ["PORT", number, protocol, "PROTO" | "PORT" | "ADDR"] => {
            is_number(number) && is_protocol(protocol)
        }
        _ => false,
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_protocol(text: &str) -> bool {
    PROTOCOLS.iter().any(|protocol| protocol.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_shapes_and_nothing_else() {
        for (name, text) in [
            ("UNRIP_INGEST_A_VENUE_SERVICE_HOST", "10.0.0.7"),
            ("UNRIP_INGEST_A_VENUE_SERVICE_PORT", "80"),
            ("UNRIP_INGEST_A_VENUE_SERVICE_PORT_ADMIN_HTTP", "80"),
            ("UNRIP_INGEST_A_VENUE_PORT", "tcp://10.0.0.7:80"),
            ("UNRIP_INGEST_A_VENUE_PORT_80_TCP", "tcp://10.0.0.7:80"),
            ("UNRIP_INGEST_A_VENUE_PORT_80_TCP_PROTO", "tcp"),
            ("UNRIP_INGEST_A_VENUE_PORT_80_TCP_PORT", "80"),
            ("UNRIP_INGEST_A_VENUE_PORT_80_TCP_ADDR", "10.0.0.7"),
            ("UNRIP_BUS_PORT_9092_UDP_ADDR", "10.0.0.8"),
            ("UNRIP_SERVICE_HOST", "10.0.0.9"),
            ("UNRIP_SERVICE_PORT", "80"),
            ("UNRIP_PORT", "tcp://10.0.0.9:80"),
        ] {
            assert!(is_service_link(name, text), "{name}");
        }
        for (name, text) in [
            ("UNRIP_BUS_PORT", "9092"),
            ("UNRIP_BUS_BROKERS", "tcp://10.0.0.9:80"),
            ("UNRIP_SERVICE_VENUE", "a-venue"),
            ("UNRIP_BUS_SERVICE_HOSTS", "a"),
            ("UNRIP_BUS_PORT_X_TCP", "a"),
            ("UNRIP_MODULE__CONFIG__MY_SERVICE_HOST", "a"),
            ("KAFKA_SERVICE_HOST", "10.0.0.9"),
        ] {
            assert!(!is_service_link(name, text), "{name}");
        }
    }
}
