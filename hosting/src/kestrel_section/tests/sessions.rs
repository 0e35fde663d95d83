//! `Sessions`.

use server_kestrel::{ConfiguredAt, SessionOptions, TicketKeys};

use super::*;

/// The sessions of the endpoint `A`, with these keys for all endpoints and these of its own.
fn sessions(defaults: &str, own: &str) -> Result<SessionOptions, String> {
    let own = if own.is_empty() { String::new() } else { format!(r#", "Sessions": {{ {own} }}"#) };
    let options = options(&format!(
        r#"{{ "Kestrel": {{
            "EndpointDefaults": {{ "Sessions": {{ {defaults} }} }},
            "Endpoints": {{ "A": {{ "Url": "https://*:443" {own} }} }} }} }}"#
    ))?;
    Ok(options.endpoints[0].https.clone().unwrap().sessions)
}

#[test]
fn every_key_is_read() {
    let read = sessions(
        "",
        r#""CacheSize": 10, "Lifetime": "01:00:00", "TicketsPerHandshake": 1,
           "TicketKeyFile": "keys", "TicketKeyRotation": 600"#,
    );
    let expected = SessionOptions {
        cache_size: 10,
        lifetime: Duration::from_secs(3600),
        tickets_per_handshake: 1,
        ticket_keys: TicketKeys::File {
            path: "/app/keys".into(),
            rotation: Some(Duration::from_secs(600)),
            configured_at: ConfiguredAt::default(),
        },
    };
    assert_eq!(read, Ok(expected));
}

#[test]
fn tickets_are_as_the_defaults_say_and_then_the_endpoint() {
    let rotation = Duration::from_secs(3600);
    let file = |rotation| TicketKeys::File {
        path: "/app/k".into(),
        rotation,
        configured_at: ConfiguredAt::default(),
    };
    for (defaults, own, expected) in [
        ("", "", TicketKeys::None),
        ("", r#""Tickets": false"#, TicketKeys::None),
        ("", r#""Tickets": true"#, TicketKeys::memory()),
        ("", r#""Tickets": true, "TicketKeyRotation": "01:00""#, TicketKeys::Memory { rotation }),
        (r#""Tickets": true"#, r#""CacheSize": 0"#, TicketKeys::memory()),
        (r#""Tickets": true"#, r#""TicketKeyRotation": "01:00""#, TicketKeys::Memory { rotation }),
        (r#""Tickets": true"#, r#""Tickets": false"#, TicketKeys::None),
        (r#""TicketKeyFile": "k""#, r#""Tickets": true"#, file(None)),
        (r#""TicketKeyFile": "k""#, r#""TicketKeyRotation": "01:00""#, file(Some(rotation))),
        (r#""Tickets": true"#, r#""TicketKeyFile": "k""#, file(None)),
    ] {
        assert_eq!(sessions(defaults, own).unwrap().ticket_keys, expected, "{defaults} {own}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_its_place() {
    for (own, key, reason) in [
        (r#""CacheSize": 100000000"#, "CacheSize", "from 0 to 16777216"),
        (r#""CacheSize": -1"#, "CacheSize", ""),
        (r#""CacheSize": null"#, "CacheSize", ""),
        (r#""Lifetime": 0"#, "Lifetime", "from 1 second to 7 days"),
        (r#""Lifetime": "8.00:00:00""#, "Lifetime", "from 1 second to 7 days"),
        (r#""TicketsPerHandshake": 17"#, "TicketsPerHandshake", "from 0 to 16"),
        (r#""TicketKeyRotation": "01:00""#, "TicketKeyRotation", "set Tickets to true, or a TicketKeyFile"),
        (r#""Tickets": true, "TicketKeyRotation": 1"#, "TicketKeyRotation", "1/32 of the lifetime"),
        (r#""Tickets": false, "TicketKeyFile": "k""#, "Tickets", "it is false"),
        (r#""CachSize": 1"#, "CachSize", ""),
    ] {
        let error = sessions("", own).unwrap_err();
        let place = format!("Kestrel:Endpoints:A:Sessions:{key}");
        assert!(error.contains(&place) && error.contains(reason), "{own}: {error}");
    }
    let error = sessions(r#""CacheSize": -1"#, "").unwrap_err();
    assert!(error.contains("Kestrel:EndpointDefaults:Sessions:CacheSize"), "{error}");
    let text =
        r#"{ "Kestrel": { "Endpoints": { "A": { "Url": "http://a", "Sessions": { "CacheSize": 1 } } } } }"#;
    let error = options(text).unwrap_err();
    assert!(error.contains("Kestrel:Endpoints:A:Sessions") && error.contains("https url"), "{error}");
}
